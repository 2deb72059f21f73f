"""Makes one co-signer's token: a process of its own, because SoftHSM reads its configuration once.

    python -m ringfence.daemons.token_founding FOLDER NAME SIZES

If FOLDER has a file `tpm` (a TCTI as tpm2-tools know it, e.g. `device:/dev/tpmrm0`), that TPM keeps the PIN, and only
while the token's files are as they were made. FOLDER gets `tokens/` with SoftHSM's files, `softhsm2.conf`, `pin`
(0600), and `public.json`: identity, pools of public keys, and the baseline that is enrolled. SIZES is JSON:
{"clients": [48, 48], ...}. `public.json` is written last: a token without it was cut short and nobody has seen a key
of it, so it is thrown away and made anew. A token that has fewer keys than SIZES wants is given the missing ones, if it
is what was enrolled; the keys that it has stay.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from ringfence.custody.hsm import (
    Baseline,
    FileCounter,
    HsmError,
    Lockout,
    Token,
    Tpm,
    Witness,
    measure_directory,
    softhsm_module,
)
from ringfence.custody.hsm.token import IDENTITY
from ringfence.custody.wallets.descriptors import Keychain, Pool, key_label
from ringfence.files import replace

EXIT_MISSING = 69
EVIDENCE_COUNTER, LOG_COUNTER, SHARES_COUNTER = 1, 2, 3
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
    tpm_shares_base: int = 0


def found(folder: Path, name: str, sizes: dict[str, tuple[int, int]]) -> Public:
    """Return what the token shows, making it if there is none.

    Raises RuntimeError if SoftHSM is not installed, HsmError, OSError.
    """
    path = folder / "public.json"
    if path.exists():
        public = msgspec.json.decode(path.read_bytes(), type=Public)
        return public if _has(public, sizes) else _extend(folder, public, sizes)
    _clear(folder)
    pin = pin_of(folder)
    configure(folder)
    module = _module()
    initialise(name, pin)
    _begin_shares(folder, name, pin)
    tpm = tpm_of(folder)
    with Token(module, name, pin, Lockout(folder / "lockout")) as token:
        token.generate(IDENTITY)
        pools = {owner: _pool(token, Pool(name, (), ()), owner, counts) for owner, counts in sizes.items()}
        baseline = Witness(
            name, token, FileCounter(folder / "counter"), files=measured(folder), tpm=tpm
        ).enrol()
    bases = [tpm.counter(one).value() if tpm is not None else 0 for one in (LOG_COUNTER, SHARES_COUNTER)]
    return _enrol(folder, baseline, pools, pin, *bases)


def _extend(folder: Path, before: Public, sizes: dict[str, tuple[int, int]]) -> Public:
    """Give a token the keys that it lacks. What was cut short goes on: `extending` says that it had begun."""
    configure(folder)
    tpm, module, begun = tpm_of(folder), _module(), folder / "extending"
    if tpm is not None and not (folder / "pin").exists():
        tpm.measure(measure_directory(measured(folder)))
        replace(folder / "pin", tpm.unseal())
    pin = (folder / "pin").read_text()
    with Token(module, before.name, pin, Lockout(folder / "lockout")) as token:
        witness = Witness(
            before.name, token, FileCounter(folder / "counter"), files=measured(folder), tpm=tpm
        )
        if not begun.exists():
            found = witness.enrol()
            if (found.token_digest, found.keys_digest) != (before.token_digest, before.keys_digest):
                raise HsmError("the token is not what was enrolled: it was given no keys")
            replace(begun, b"")
        else:
            token.remove_torn()
        pools = {owner: _pool(token, before.pools[owner], owner, counts) for owner, counts in sizes.items()}
        baseline = witness.enrol()
    public = _enrol(folder, baseline, pools, pin, before.tpm_log_base, before.tpm_shares_base)
    begun.unlink()
    return public


def _enrol(
    folder: Path, baseline: Baseline, pools: dict[str, Pool], pin: str, log_base: int, shares_base: int
) -> Public:
    """Write down what a token is from now on; a TPM keeps the PIN for these files alone."""
    tpm = tpm_of(folder)
    if tpm is not None:
        tpm.measure(baseline.token_digest)
        tpm.seal(pin.encode())
    public = Public(
        baseline.signer, baseline.identity.hex(), baseline.serial, baseline.model, baseline.token_digest,
        baseline.keys_digest, baseline.tpm_key, log_base, pools, shares_base,
    )  # fmt: skip
    replace(folder / "public.json", msgspec.json.encode(public))
    if tpm is not None:
        (folder / "pin").unlink(missing_ok=True)
    return public


def _has(public: Public, sizes: dict[str, tuple[int, int]]) -> bool:
    return all(
        len(public.pools[owner].keys(keychain)) >= count
        for owner, counts in sizes.items()
        for keychain, count in zip(Keychain, counts, strict=True)
    )


def _module() -> Path:
    module = softhsm_module()
    if module is None:
        raise RuntimeError("SoftHSM is not installed: Debian package softhsm2")
    return module


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
    for name in ("lockout", "counter", "shares.token"):
        (folder / name).unlink(missing_ok=True)


def shares_label(name: str) -> str:
    """Return what the token is called whose keys a co-signer's shares are kept under."""
    return f"{name}-shares"


def _begin_shares(folder: Path, name: str, pin: str) -> None:
    """Make the token for shares, and write down which it is: its keys come and go, so nobody measures it."""
    before = set((folder / "tokens").iterdir())
    initialise(shares_label(name), pin)
    (made,) = set((folder / "tokens").iterdir()) - before
    replace(folder / "shares.token", made.name.encode())


def has_shares(folder: Path) -> bool:
    """Return whether a token for shares was founded."""
    return (folder / "shares.token").exists()


def measured(folder: Path) -> Path:
    """Return the directory that evidence is about: that of the token with the keys of scripts and the identity."""
    tokens = folder / "tokens"
    if not has_shares(folder):
        return tokens
    aside = (folder / "shares.token").read_text()
    found = [path for path in tokens.iterdir() if path.name != aside]
    return found[0] if len(found) == 1 else tokens


def configure(folder: Path) -> None:
    """Point SoftHSM at a folder's tokens, from now on and for this process."""
    tokens = folder / "tokens"
    tokens.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "softhsm2.conf"
    text = f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
    if not path.exists() or path.read_text() != text:
        replace(path, text.encode())
    os.environ["SOFTHSM2_CONF"] = str(path)


def pin_of(folder: Path) -> str:
    """Return the PIN of a folder's token, making one if there is none. Raises OSError."""
    path = folder / "pin"
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(path, secrets.token_hex(12).encode())
    return path.read_text()


def initialise(name: str, pin: str) -> None:
    """Make an empty token where SoftHSM was pointed at. Raises CalledProcessError."""
    # The PIN of the security officer is not kept: a token whose PIN is lost is made anew and enrolled anew.
    given = ["--label", name, "--pin", pin, "--so-pin", secrets.token_hex(12)]
    subprocess.run(["softhsm2-util", "--init-token", "--free", *given], check=True, capture_output=True)


def _pool(token: Token, before: Pool, owner: str, counts: tuple[int, int]) -> Pool:
    """Return a pool with as many keys as are wanted, those it had first."""
    keys = []
    for keychain, count in zip(Keychain, counts, strict=True):
        had = before.keys(keychain)
        labels = [key_label(owner, keychain, index) for index in range(len(had), count)]
        keys.append((*had, *(token.pair(one).hex() for one in labels)))
    return Pool(before.signer, keys[0], keys[1])


def main() -> None:
    folder, name, sizes = Path(sys.argv[1]).absolute(), sys.argv[2], json.loads(sys.argv[3])
    try:
        found(folder, name, {owner: (int(a), int(b)) for owner, (a, b) in sizes.items()})
    except (RuntimeError, HsmError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the token of {name} was not made: {error}")


if __name__ == "__main__":
    main()
