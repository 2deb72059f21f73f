"""What was put in force, beside the journal that says so: the text of each configuration, and the number of the last.

    configuration/NUMBER.toml    a text that an admin command carried; its name is its digest
    configuration/in-force       the number of the one in force, as the core of this directory knows it

The core writes both, and at its start again what its engine says: they are copies, for who has no engine.
"""

from pathlib import Path

from ringfence.configuration.text import NAME, Configuration, SettingsError, decode, in_words, number_of
from ringfence.files import replace

FOLDER = "configuration"
_IN_FORCE = "in-force"


def text_path(directory: Path, number: int) -> Path:
    return directory / FOLDER / f"{in_words(number)}.toml"


def keep_text(directory: Path, text: bytes) -> None:
    """Keep a text that is to come into force. Raises OSError."""
    path = text_path(directory, number_of(text))
    path.parent.mkdir(mode=0o700, exist_ok=True)
    replace(path, text)


def note_in_force(directory: Path, number: int) -> None:
    """Write down which configuration is in force. Raises OSError."""
    path = directory / FOLDER / _IN_FORCE
    path.parent.mkdir(mode=0o700, exist_ok=True)
    replace(path, f"{number}\n".encode())


def number_in_force(directory: Path) -> int:
    """Return the number that the core wrote down last; 0 = it has never known of one. Raises SettingsError."""
    path = directory / FOLDER / _IN_FORCE
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path} is no number: remove it, the core writes it again at its start"
        ) from error


def text_in_force(directory: Path, number: int) -> bytes | None:
    """Return the text with a number, None if no whole copy of it is here."""
    try:
        text = text_path(directory, number).read_bytes()
    except OSError:
        return None
    return text if number_of(text) == number else None


def configuration_in_force(directory: Path, number: int) -> Configuration | None:
    """Return what a text with a number says, None if no copy is here that this release can read."""
    text = text_in_force(directory, number)
    try:
        return None if text is None else Configuration(decode(text), text)
    except SettingsError:
        return None


def check_in_force(written: Configuration, *, in_force: int) -> None:
    """Raise SettingsError if a file is not what is in force. While nothing was ever in force, every file will do."""
    if in_force not in (0, written.number):
        raise SettingsError(
            f"{NAME} is {in_words(written.number)}, in force is {in_words(in_force)}: `ringfence config diff` shows "
            f"what is different, `ringfence config apply --operator NAME` puts the file in force, and "
            f"`ringfence config restore` takes the change back"
        )
