"""What the console's pages make of fields is what Python makes of them: one file of vectors holds both."""

from tests.unit.console_vectors import PATH, encoded


def test_the_vectors_are_what_the_code_says() -> None:
    """If this fails: python tests/unit/console_vectors.py; the pages' own tests read them in vitest."""
    assert PATH.read_text() == encoded()
