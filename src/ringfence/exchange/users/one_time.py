"""One-time passwords: RFC 6238 with SHA-1, six digits, thirty seconds, as authenticator apps make them."""

import base64
import binascii
import hashlib
import hmac

STEP_SECONDS = 30
_STEPS_APART = 1
"""A phone's clock may be a step off."""


class OneTimePasswords:
    """Checks codes, each once."""

    def __init__(self) -> None:
        self._used: dict[int, int] = {}
        """By account: the last step whose code was taken."""

    def takes(self, account: int, secret: str, code: str, *, now: float) -> bool:
        """Return whether a code is right now, and was not given before; from then on it was. `secret` in base 32."""
        step = step_of(secret, code, after=self._used.get(account, -1), now=now)
        if step is not None:
            self._used[account] = step
        return step is not None


def step_of(secret: str, code: str, *, after: int, now: float) -> int | None:
    """Return the step that a code is of, if it is about now and later than `after`. `secret` in base 32."""
    step_now = int(now) // STEP_SECONDS
    for step in range(step_now - _STEPS_APART, step_now + _STEPS_APART + 1):
        if step > after and hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
            return step
    return None


def code_at(secret: str, step: int) -> str:
    """Return the code of a step. Raises ValueError if the secret is not base 32."""
    try:
        key = base64.b32decode(secret.upper() + "=" * (-len(secret) % 8))
    except binascii.Error as error:
        raise ValueError("the secret of a second factor is not base 32") from error
    digest = hmac.new(key, step.to_bytes(8, "big"), hashlib.sha1).digest()
    at = digest[-1] & 0xF
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"
