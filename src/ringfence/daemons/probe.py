"""Looks from outside at a running exchange: does it answer, how far is it."""

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ringfence.daemons.admin import Admin

_SECONDS = 2.0


def get_json(url: str) -> Any:
    """Return what a public GET answers, None if there is no (good) answer."""
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - our own http URL
            return json.loads(answer.read())
    except (OSError, ValueError, urllib.error.URLError):
        return None


async def core_sequence(directory: Path) -> int | None:
    """Return how far the core is: everything below is durable. None if it does not answer."""
    admin = Admin(directory)
    try:
        await asyncio.wait_for(admin.connect(), _SECONDS)
    except (OSError, TimeoutError):
        return None
    admin.close()
    return admin.next_sequence
