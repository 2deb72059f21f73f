"""What people sign at the console and nowhere else, in plain words, one fact a line.

No text begins as one that means something elsewhere: a signature from here lifts no halt and moves no coin.
`web/console/src/sign/texts.ts` writes the same for the browser.
"""


def enrolment(*, venue: str, seat: str, credential: str, key: str, challenge: str) -> bytes:
    """Return what a person signs who enrols a hardware key; `key`: SHA-256 of its public half as SPKI, hexadecimal."""
    return _text(
        "KEY", ("venue", venue), ("seat", seat), ("credential", credential), ("credential key", key),
        ("challenge", challenge),
    )  # fmt: skip


def removal(*, venue: str, seat: str, credential: str, challenge: str) -> bytes:
    """Return what a person signs who has a hardware key no more, or does not trust it."""
    return _text(
        "KEY REMOVED", ("venue", venue), ("seat", seat), ("credential", credential), ("challenge", challenge)
    )


def freeze(*, venue: str, seat: str, because: str, at_ns: int) -> bytes:
    """Return what a person signs who has every co-signer stop."""
    return _text("FREEZE", ("venue", venue), ("seat", seat), ("because", because), ("at", str(at_ns)))


def _text(title: str, *facts: tuple[str, str]) -> bytes:
    lines = [f"RINGFENCE CONSOLE {title}", *(f"{name}: {value}" for name, value in facts)]
    return ("\n".join(lines) + "\n").encode()


def is_line(text: str, *, characters_max: int) -> bool:
    """Return whether a text is one line that says something: what is signed is read line by line."""
    return bool(text.strip()) and len(text) <= characters_max and text.isprintable()
