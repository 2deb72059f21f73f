"""Makes one co-signer's token: a process of its own, because SoftHSM reads its configuration once.

    python -m ringfence.daemons.token_founding FOLDER NAME SIZES

If FOLDER has a file `tpm` (a TCTI as tpm2-tools know it, e.g. `device:/dev/tpmrm0`), that TPM keeps the PIN, and only
while the token's files are as they were made. FOLDER gets `tokens/` with SoftHSM's files, `softhsm2.conf`, `pin`
(0600), and `public.json`: identity, pools of public keys, and the baseline that is enrolled. SIZES is JSON:
{"clients": [48, 48], ...}. `public.json` is written last: a token without it was cut short and nobody has seen a key
of it, so it is thrown away and made anew.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from ringfence.custody.hsm import FileCounter, HsmError, Lockout, Token, Tpm, Witness, softhsm_module
from ringfence.custody.hsm.token import IDENTITY
from ringfence.custody.wallets.descriptors import Keychain, Pool, key_label
from ringfence.files import replace

EXIT_MISSING = 69
EVIDENCE_COUNTER, LOG_COUNTER = 1, 2
"""In the TPM."""


class Public(msgspec.Struct, frozen=True):
    """What a token shows to everybody."""

    name: str
    identity: str
    serial: str
    model: str
    token_digest: str
    keys_digest: str
    tpm_key: str
    tpm_log_base: int
    pools: dict[str, Pool]
    """By owner."""


def found(folder: Path, name: str, sizes: dict[str, tuple[int, int]]) -> Public:
    """Return what the token shows, making it if there is none.

    Raises RuntimeError if SoftHSM is not installed, HsmError, OSError.
    """
    path = folder / "public.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Public)
    module = softhsm_module()
    if module is None:
        raise RuntimeError("SoftHSM is not installed: Debian package softhsm2")
    _clear(folder)
    pin = _pin(folder)
    tokens = configure(folder)
    _initialise(name, pin)
    with Token(module, name, pin, Lockout(folder / "lockout")) as token:
        token.generate(IDENTITY)
        pools = {owner: _pool(token, name, owner, counts) for owner, counts in sizes.items()}
        tpm = tpm_of(folder)
        baseline = Witness(name, token, FileCounter(folder / "counter"), files=tokens, tpm=tpm).enrol()
    log_base = 0
    if tpm is not None:
        tpm.measure(baseline.token_digest)
        tpm.seal(pin.encode())
        log_base = tpm.counter(LOG_COUNTER).value()
    public = Public(
        name, baseline.identity.hex(), baseline.serial, baseline.model, baseline.token_digest, baseline.keys_digest,
        baseline.tpm_key, log_base, pools,
    )  # fmt: skip
    replace(path, msgspec.json.encode(public))
    if tpm is not None:
        (folder / "pin").unlink()  # the TPM has it
    return public


def tpm_of(folder: Path) -> Tpm | None:
    """Return the TPM of a co-signer's folder, None if there is no file `tpm` that says how to reach one."""
    path = folder / "tpm"
    return Tpm(path.read_text().strip(), folder=folder) if path.exists() else None


def _clear(folder: Path) -> None:
    """Throw away a token that was cut short: half a pair of keys in it can neither be used nor be found again.

    Raises HsmError if the token may be in use: then its keys may hold coins.
    """
    if (folder / "charter.json").exists():
        raise HsmError(
            "public.json is gone, and the token is enrolled in a charter; it is not made anew. Restore the file"
        )
    shutil.rmtree(folder / "tokens", ignore_errors=True)
    for name in ("lockout", "counter"):
        (folder / name).unlink(missing_ok=True)


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


def _initialise(name: str, pin: str) -> None:
    # The PIN of the security officer is not kept: a token whose PIN is lost is made anew and enrolled anew.
    given = ["--label", name, "--pin", pin, "--so-pin", secrets.token_hex(12)]
    subprocess.run(["softhsm2-util", "--init-token", "--free", *given], check=True, capture_output=True)


def _pool(token: Token, name: str, owner: str, counts: tuple[int, int]) -> Pool:
    keys: list[tuple[str, ...]] = []
    for keychain, count in zip(Keychain, counts, strict=True):
        labels = [key_label(owner, keychain, index) for index in range(count)]
        keys.append(tuple(token.generate(one).hex() for one in labels))
    return Pool(name, keys[0], keys[1])


def main() -> None:
    folder, name, sizes = Path(sys.argv[1]).absolute(), sys.argv[2], json.loads(sys.argv[3])
    try:
        found(folder, name, {owner: (int(a), int(b)) for owner, (a, b) in sizes.items()})
    except (RuntimeError, HsmError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the token of {name} was not made: {error}")


if __name__ == "__main__":
    main()
