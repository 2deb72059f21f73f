"""10,000 signed requests with one thing changed: none is accepted, and the engine is as it was.

A copied request is worth what it says and nothing more: whoever has seen one can change a byte of it, leave a header
away or send one twice. RINGFENCE_MUTATED_REQUESTS sets how many, RINGFENCE_SEED another choice of them.
"""

import os
import random
import string
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest

from ringfence.exchange.gateway.rest import ROUTES
from ringfence.testing.client import sign
from ringfence.testing.venue import Venue
from ringfence.testing.wire import Headers, Wire, signature_headers, written

from .conftest import ALICE, KEYS
from .examples import commands_of, example, request_of

COUNT = int(os.environ.get("RINGFENCE_MUTATED_REQUESTS", "10000"))
SEED = int(os.environ.get("RINGFENCE_SEED", "0"))
_VERBS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
_IN_ADDRESSES = string.ascii_letters + string.digits + "-._~%/&=+?"


class Signed(NamedTuple):
    """A request with all that its signature says."""

    method: str
    target: str
    headers: Headers
    body: bytes

    def named(self, name: str) -> str:
        return dict(self.headers)[name]

    def with_header(self, name: str, value: str) -> "Signed":
        return self._replace(headers=[(n, value if n == name else v) for n, v in self.headers])


Change = Callable[[Signed, random.Random], Signed]


def another_character(text: str, chance: random.Random, of: str, *, after: int = 0) -> str:
    """Return the text with one character changed, taken out or put in."""
    at = chance.randrange(after, len(text))
    what = chance.choice(("changed", "gone", "more")) if len(text) > after + 1 else "changed"
    new = chance.choice([one for one in of if one != text[at]])
    return {"changed": text[:at] + new + text[at + 1 :], "gone": text[:at] + text[at + 1 :],
            "more": text[:at] + new + text[at:]}[what]  # fmt: skip


def another_verb(asked: Signed, chance: random.Random) -> Signed:
    return asked._replace(method=chance.choice([verb for verb in _VERBS if verb != asked.method]))


def another_path(asked: Signed, chance: random.Random) -> Signed:
    path, mark, query = asked.target.partition("?")
    return asked._replace(
        target=another_character(path, chance, _IN_ADDRESSES, after=len("/api/v1/")) + mark + query
    )


def another_route(asked: Signed, chance: random.Random) -> Signed:
    path, mark, query = asked.target.partition("?")
    others = [route.path for route in ROUTES.values() if route.needs_key and "/api/v1" + route.path != path]
    return asked._replace(target="/api/v1" + chance.choice(others) + mark + query)


def another_query(asked: Signed, chance: random.Random) -> Signed:
    path, mark, query = asked.target.partition("?")
    if not mark:
        return asked._replace(target=path + chance.choice(("?", "?count=1", "?a=", "?targetAccountId=2")))
    if chance.random() < 0.3:
        return asked._replace(
            target=chance.choice((path, path + "?" + query + "&a=1", path + "?" + query + "&"))
        )
    return asked._replace(
        target=path + "?" + another_character(query, chance, string.ascii_letters + string.digits)
    )


def another_body(asked: Signed, chance: random.Random) -> Signed:
    body = bytearray(asked.body)
    what = chance.randrange(4) if body else 3
    at = chance.randrange(len(body)) if body else 0
    if what == 0:
        body[at] ^= 1 << chance.randrange(8)
    elif what == 1:
        del body[at]
    elif what == 2:
        body.insert(at, chance.randrange(256))
    else:
        body += chance.choice((b" ", b"\n", b"\0", b"{}", b"&a=1"))
    return asked._replace(body=bytes(body))


def another_expiry(asked: Signed, chance: random.Random) -> Signed:
    expires = asked.named("api-expires")
    later = str(int(expires) + chance.choice((1, 10, 3600, -1, 86_400_000)))
    return asked.with_header("api-expires", chance.choice((
        later, later, "0" + expires, expires + "0", "+" + expires, expires + ".0", expires + "e0", expires[:-1],
        "9" + expires, " ".join(expires), "0x6b", "",
    )))  # fmt: skip


def another_border(asked: Signed, chance: random.Random) -> Signed:
    """Move figures between the address, the expiry and the body: what is signed stays the same bytes."""
    expires, count = asked.named("api-expires"), chance.randrange(1, 4)
    if chance.random() < 0.5 and asked.target[-count:].isdigit():
        moved = asked.target[-count:] + expires
        return asked._replace(target=asked.target[:-count]).with_header("api-expires", moved)
    if chance.random() < 0.5:
        left = asked.with_header("api-expires", expires[:-count])
        return left._replace(body=expires[-count:].encode() + asked.body)
    return asked._replace(target=asked.target + expires[:count]).with_header("api-expires", expires[count:])


def another_signature(asked: Signed, chance: random.Random) -> Signed:
    right = asked.named("api-signature")
    made = another_character(right, chance, string.hexdigits[:16])
    if chance.random() < 0.3:
        wrong = sign("secret-2", asked.method, asked.target, asked.named("api-expires"), asked.body)
        # Upper case is another text, and one text alone is the signature.
        made = chance.choice((right.upper(), "", right[:-1], right + "0", "0" * 64, right[::-1], wrong))
    return asked.with_header("api-signature", made)


def another_key(asked: Signed, chance: random.Random) -> Signed:
    names = [key.id for key in KEYS.values() if key.secret != ALICE.secret]
    return asked.with_header(
        "api-key", chance.choice((*names, another_character(ALICE.id, chance, _IN_ADDRESSES)))
    )


def a_header_less(asked: Signed, chance: random.Random) -> Signed:
    gone = chance.randrange(3)
    return asked._replace(headers=[header for at, header in enumerate(asked.headers) if at != gone])


def a_header_twice(asked: Signed, chance: random.Random) -> Signed:
    """Send one header again, before or after, the same or another: nobody is to choose among two."""
    name, value = chance.choice(asked.headers)
    again = (chance.choice((name, name.upper(), name.title())), chance.choice((value, "key-2", value[::-1])))
    return asked._replace(
        headers=[again, *asked.headers] if chance.random() < 0.5 else [*asked.headers, again]
    )


def a_header_misnamed(asked: Signed, chance: random.Random) -> Signed:
    at = chance.randrange(3)
    name, value = asked.headers[at]
    wrong = chance.choice(
        (name.replace("-", "_"), "x-" + name, name + "s", name[:-1], name.replace("api", "bitmex"))
    )
    return asked._replace(headers=[*asked.headers[:at], (wrong, value), *asked.headers[at + 1 :]])


CHANGES: tuple[Change, ...] = (
    another_verb, another_path, another_route, another_query, another_body, another_expiry, another_border,
    another_signature, another_key, a_header_less, a_header_twice, a_header_misnamed,
)  # fmt: skip


@pytest.fixture(scope="module")
def signed() -> list[Signed]:
    """One request of every route that wants a key, and some whose address ends in a figure."""
    asked = [example(route) for route in ROUTES.values() if route.needs_key and not route.for_page]
    asked += [
        request_of("GET", "/position", {"count": "100"}),
        request_of("GET", "/order", {"count": "12"}),
    ] * 3
    expires = int(time.time()) + 600
    return [Signed(a.method, a.target, signature_headers(ALICE, *a, expires=expires), a.body) for a in asked]


def raw_of(asked: Signed) -> bytes:
    kind = [("content-type", "application/json")] if asked.body else []
    return written(asked.method, asked.target, [*asked.headers, *kind], asked.body)


def test_no_request_that_was_changed_by_a_hair_is_accepted(venue: Venue, signed: list[Signed]) -> None:
    chance = random.Random(SEED)
    before, counted = commands_of(venue), Counter[tuple[str, int]]()
    begun = time.perf_counter()
    with Wire(venue.port) as wire:
        for number in range(COUNT):
            change = CHANGES[number % len(CHANGES)]
            asked = chance.choice(signed)
            changed = change(asked, chance)
            if changed == asked:
                continue
            answer = wire.ask(raw_of(changed))
            counted[change.__name__, answer.status] += 1
            # 400: two headers of one kind, or no HTTP any more; then nobody was asked for.
            assert answer.status in (401, 403) or (answer.status == 400 and change is a_header_twice), (
                change.__name__, raw_of(asked), raw_of(changed), answer
            )  # fmt: skip
    took = time.perf_counter() - begun
    assert commands_of(venue) == before, "something was done"
    print(f"\n{counted.total()} changed requests in {took:.1f} s, 0 accepted: {dict(counted)}")
    assert counted.total() > COUNT * 0.95


def test_the_same_requests_unchanged_are_let_in(venue: Venue, signed: list[Signed]) -> None:
    """Or the test above would say nothing. Names of headers are the same in any case (RFC 9110, 5.1)."""
    with Wire(venue.port) as wire:
        for asked in signed:
            if asked.method == "GET":
                named = [(name.upper(), value) for name, value in asked.headers]
                for headers in (asked.headers, named, list(reversed(asked.headers))):
                    assert wire.ask(raw_of(asked._replace(headers=headers))).status not in (401, 403), asked
