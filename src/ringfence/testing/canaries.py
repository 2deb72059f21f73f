"""Where a venue's secrets are, and whether any of them has got out: into a log, or into what every user may see."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ringfence.exchange.users.keys import read_records

_SECRET_NAMES = ("pin", ".cookie", "passphrase")
_SECRET_ENDS = (".key", ".secret", ".pem")
_CHARACTERS_MIN = 8
_BODY = re.compile(r"^[A-Za-z0-9+/=]{40,}$", re.MULTILINE)
"""A line of a key in armour; its first and last line are the same for everybody."""


class Secret(NamedTuple):
    """A text that nobody else may see, and where it belongs."""

    home: str
    text: bytes


def secrets_of(directory: Path) -> list[Secret]:
    """Return every secret that lies in a venue's folder, in each form in which a program could print it."""
    found = [Secret("keys.json", one.secret.encode()) for one in read_records(directory / "keys.json")]
    found += [Secret("keys.json", one.otp_secret.encode()) for one in read_records(directory / "keys.json")]
    for path in sorted(directory.rglob("*")):
        if path.is_file() and (path.name in _SECRET_NAMES or path.suffix in _SECRET_ENDS):
            home = path.relative_to(directory).as_posix()
            found += [Secret(home, text) for text in _forms(path.read_bytes())]
    return [one for one in found if len(one.text) >= _CHARACTERS_MIN]


def _forms(raw: bytes) -> Iterator[bytes]:
    try:
        text = raw.decode("ascii").strip()
    except UnicodeDecodeError:
        yield raw.hex().encode()
        return
    if text.startswith("-----BEGIN"):
        yield from (line.encode() for line in _BODY.findall(text))
    else:
        yield from (line.strip().encode() for line in text.splitlines() if not line.startswith("#"))
        yield raw.hex().encode()


def logs_of(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every log of a venue with its name."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and (".log" in path.suffixes or path.parent.name == "logs"):
            yield path.relative_to(directory).as_posix(), path.read_bytes()


def command_lines() -> Iterator[tuple[str, bytes]]:
    """Yield what every user of this machine can see of its processes."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield f"arguments of process {path.parent.name}", path.read_bytes()
        except OSError:
            continue  # it has ended


def leaks(secrets: Iterable[Secret], texts: Iterable[tuple[str, bytes]]) -> list[str]:
    """Return which secret is in which text, without the secret."""
    found = list(secrets)
    return [f"{one.home} is in {where}" for where, text in texts for one in found if one.text in text]
