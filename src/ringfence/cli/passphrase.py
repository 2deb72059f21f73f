"""Passphrases of keys that people keep on their own machines."""

import getpass
import sys
from pathlib import Path

CHARACTERS_MIN = 12


def existing(key: Path, file: Path | None) -> bytes | None:
    """Return the passphrase of a key file, None if it has none. Raises OSError."""
    if file is not None:
        return file.read_bytes().strip()
    return getpass.getpass("passphrase: ").encode() if b"ENCRYPTED" in key.read_bytes() else None


def fresh(file: Path | None = None) -> bytes:
    """Return a passphrase for a new key, from a file or typed twice; exits if it is too short. Raises OSError."""
    passphrase = getpass.getpass("passphrase: ").encode() if file is None else file.read_bytes().strip()
    again = getpass.getpass("again: ").encode() if file is None else passphrase
    if len(passphrase) < CHARACTERS_MIN or passphrase != again:
        sys.exit(f"a passphrase has at least {CHARACTERS_MIN} characters, twice the same; no key was made")
    return passphrase
