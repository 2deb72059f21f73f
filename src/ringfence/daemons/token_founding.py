"""Makes one co-signer's token: a process of its own, because SoftHSM reads its configuration once.

    python -m ringfence.daemons.token_founding FOLDER NAME SIZES

FOLDER gets `tokens/` with SoftHSM's files, `softhsm2.conf`, `pin` (0600), and `public.json`: identity, pools of public
keys, and the baseline that is enrolled. SIZES is JSON: {"clients": [48, 48], ...}. A founding that was cut short goes
on where it stopped.
"""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import msgspec

from ringfence.custody.hsm import FileCounter, HsmError, Lockout, Token, Witness, softhsm_module
from ringfence.custody.hsm.token import IDENTITY
from ringfence.custody.wallets.descriptors import Keychain, Pool, key_label
from ringfence.files import replace

EXIT_MISSING = 69


class Public(msgspec.Struct, frozen=True):
    """What a token shows to everybody."""

    name: str
    identity: str
    serial: str
    model: str
    token_digest: str
    keys_digest: str
    pools: dict[str, Pool]
    """By owner."""


def found(folder: Path, name: str, sizes: dict[str, tuple[int, int]]) -> Public:
    """Raises RuntimeError if SoftHSM is not installed, HsmError."""
    module = softhsm_module()
    if module is None:
        raise RuntimeError("SoftHSM is not installed: Debian package softhsm2")
    pin = _pin(folder)
    tokens = configure(folder)
    if not any(tokens.iterdir()):
        _initialise(folder, name, pin)
    with Token(module, name, pin, Lockout(folder / "lockout")) as token:
        present = set(token.labels())
        if IDENTITY not in present:
            token.generate(IDENTITY)
        pools = {owner: _pool(token, present, name, owner, counts) for owner, counts in sizes.items()}
        witness = Witness(name, token, FileCounter(folder / "counter"), files=tokens)
        baseline = witness.enrol()
    public = Public(
        name, baseline.identity.hex(), baseline.serial, baseline.model, baseline.token_digest, baseline.keys_digest,
        pools,
    )  # fmt: skip
    replace(folder / "public.json", msgspec.json.encode(public))
    return public


def configure(folder: Path) -> Path:
    """Point SoftHSM at a folder's tokens, from now on and for this process; return where they are."""
    tokens = folder / "tokens"
    tokens.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "softhsm2.conf"
    text = f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
    if not path.exists() or path.read_text() != text:
        replace(path, text.encode())
    os.environ["SOFTHSM2_CONF"] = str(path)
    return tokens


def _pin(folder: Path) -> str:
    path = folder / "pin"
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(path, secrets.token_hex(12).encode())
    return path.read_text()


def _initialise(folder: Path, name: str, pin: str) -> None:
    # The PIN of the security officer is not kept: a token whose PIN is lost is made anew and enrolled anew.
    given = ["--label", name, "--pin", pin, "--so-pin", secrets.token_hex(12)]
    subprocess.run(["softhsm2-util", "--init-token", "--free", *given], check=True, capture_output=True)


def _pool(token: Token, present: set[str], name: str, owner: str, counts: tuple[int, int]) -> Pool:
    keys: list[tuple[str, ...]] = []
    for keychain, count in zip(Keychain, counts, strict=True):
        labels = [key_label(owner, keychain, index) for index in range(count)]
        made = [token.public_key(one) if one in present else token.generate(one) for one in labels]
        keys.append(tuple(key.hex() for key in made))
    return Pool(name, keys[0], keys[1])


def main() -> None:
    folder, name, sizes = Path(sys.argv[1]).absolute(), sys.argv[2], json.loads(sys.argv[3])
    try:
        found(folder, name, {owner: (int(a), int(b)) for owner, (a, b) in sizes.items()})
    except (RuntimeError, HsmError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the token of {name} was not made: {error}")


if __name__ == "__main__":
    main()
