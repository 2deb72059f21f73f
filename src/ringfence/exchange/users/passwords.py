"""Passwords: argon2id, and whether one is good enough, without asking anybody.

No rules about kinds of characters (NIST SP 800-63B): what counts is how many guesses it takes. zxcvbn knows the most
common passwords, names, words, dates and keyboard walks, and is told the words that stand near the person.
"""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

CHARACTERS_MIN, CHARACTERS_MAX = 8, 256
_ZXCVBN_CHARACTERS_MAX = 72
"""What it looks at: it is quadratic, and longer ones are not guessed."""
_WORD_CHARACTERS_MIN = 4
_SCORE_MIN = 3
"""Of 4: at least 10^8 guesses."""
_CONTEXT = ("ringfence", "exchange", "bitcoin", "trading", "crypto")
_hasher = PasswordHasher(time_cost=3, memory_cost=64 << 10, parallelism=1)
"""RFC 9106's second choice with one lane: an eighth of a second and 64 MiB a guess."""
NOBODYS = _hasher.hash("nobody has this password")
"""What is verified when there is no such user, so that it takes as long."""


class WeakPasswordError(ValueError):
    """The password can be guessed. The text says what would be better; nothing was changed."""


def check_strength(password: str, *, email: str) -> None:
    """Raises WeakPasswordError."""
    if len(password) < CHARACTERS_MIN:
        raise WeakPasswordError(f"Too short: at least {CHARACTERS_MIN} characters, better 15")
    if len(password) > CHARACTERS_MAX:
        raise WeakPasswordError(f"Too long: at most {CHARACTERS_MAX} characters")
    words = [*_CONTEXT, email, *email.replace("@", ".").split(".")]
    # What stands near the person is worth no guess at all, also between other things.
    bare = password[:_ZXCVBN_CHARACTERS_MAX].lower()
    for word in words:
        if len(word) >= _WORD_CHARACTERS_MIN:
            bare = bare.replace(word, "")
    found = min(
        (zxcvbn(text or "a", user_inputs=words) for text in (password[:_ZXCVBN_CHARACTERS_MAX], bare)),
        key=lambda one: one["score"],
    )
    if found["score"] < _SCORE_MIN:
        feedback = found["feedback"]
        said = [feedback["warning"], *feedback["suggestions"]]
        why = " ".join(text.rstrip(".") + "." for text in said if text) or "Add a word or two."
        raise WeakPasswordError(f"Too easy to guess. {why}")


def hashed(password: str) -> str:
    return _hasher.hash(password)


def verifies(hash_: str, password: str) -> bool:
    """Return whether a password is the one; takes as long if it is not."""
    try:
        return _hasher.verify(hash_, password[:CHARACTERS_MAX])
    except (VerificationError, InvalidHashError):
        return False
