"""How a small file is replaced, as a whole or not at all, and how names are made durable."""

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Replace a file as a whole, readable by its owner only. Raises OSError: then the old one stands.

    The content is synced, its name is not: a process that is killed has lost nothing, but after a power cut the
    old file may stand once more.
    """
    aside = path.with_suffix(".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    aside.rename(path)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
