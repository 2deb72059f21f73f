"""New certificates for the machines of a cluster, without a moment in which one is not known.

Three steps for each machine. `prepare` makes a key and a certificate beside those in use. Every other machine `trust`s
the new one beside the old one. Then the machine `switch`es, and the others `drop` the old one. After each step the
core is asked to read its certificates again: lines that are open stay open.
"""

from pathlib import Path

from ringfence.daemons.cluster import FOLDER
from ringfence.daemons.pinned_tls import certificates_in, ensure_certificate
from ringfence.files import replace, sync_directory

NEXT = "next"


class RotationError(Exception):
    """A step was asked for out of order. Nothing was changed; the text says which step is due."""


def prepare(own: Path, name: str) -> str:
    """Make the next key and certificate of a machine, and return the certificate in PEM. Raises OSError."""
    folder = own / FOLDER / NEXT
    ensure_certificate(folder, name)
    return (folder / "tls.crt").read_text()


def trust(peer: Path, name: str, certificate: str) -> None:
    """Let a machine know another one's next certificate beside the one it has. Raises OSError, ValueError."""
    path = peer / FOLDER / f"{name}.crt"
    (new,) = certificates_in(certificate)
    known = certificates_in(path.read_text())
    if new not in known:
        replace(path, "".join([*known, new]).encode())


def switch(own: Path) -> None:
    """Use the next key and certificate from now on. Raises RotationError, OSError.

    Killed between the two files, the machine does not start: then this is run once more.
    """
    folder = own / FOLDER
    if not (folder / NEXT / "tls.crt").exists():
        raise RotationError(
            f"{folder / NEXT} holds no certificate: `prepare` comes first. Nothing was changed."
        )
    for file in ("tls.key", "tls.crt"):
        replace(folder / file, (folder / NEXT / file).read_bytes())
    sync_directory(folder)
    for file in ("tls.crt", "tls.key"):
        (folder / NEXT / file).unlink()


def drop(peer: Path, name: str) -> None:
    """Forget all but the newest certificate of another machine. Raises OSError, ValueError."""
    path = peer / FOLDER / f"{name}.crt"
    replace(path, certificates_in(path.read_text())[-1].encode())
