"""What two parsers could read differently: it is refused, or read as one request; never as two.

Whoever stands before the gateway may read the same bytes another way. A request within a request would then be asked
in the name of whoever sent the next one.
"""

import pytest

from ringfence.testing.venue import Venue
from ringfence.testing.wire import Wire

HIDDEN = b"GET /api/v1/announcement/urgent HTTP/1.1\r\nhost: x\r\n\r\n"
"""What would be smuggled: alone it is answered with 401."""
_POST = b"POST /api/v1/securityReport/state HTTP/1.1\r\nhost: x\r\n"
_GET = b"GET /api/v1/announcement HTTP/1.1\r\nhost: x\r\n"
_UPGRADE = b"connection: upgrade\r\nupgrade: "
_CHUNKED = b"transfer-encoding: chunked\r\n"
_LENGTH = b"content-length: %d\r\n" % (len(HIDDEN) + 5)
_END = b"0\r\n\r\n"

REFUSED: dict[str, bytes] = {
    "a length and chunks": _POST + _LENGTH + _CHUNKED + b"\r\n" + _END + HIDDEN,
    "chunks and a length": _POST + _CHUNKED + _LENGTH + b"\r\n" + _END + HIDDEN,
    "a length and chunks, spelled otherwise": _POST + _LENGTH + b"Transfer-Encoding : chunked\r\n\r\n" + _END + HIDDEN,
    "a length and unknown chunks": _POST + _LENGTH + b"transfer-encoding: xchunked\r\n\r\n" + _END + HIDDEN,
    "unknown chunks": _POST + b"transfer-encoding: xchunked\r\n\r\n" + _END + HIDDEN,
    "chunks that are not last": _POST + b"transfer-encoding: chunked, identity\r\n\r\n" + _END + HIDDEN,
    "chunks twice": _POST + _CHUNKED + _CHUNKED + b"\r\n" + _END + HIDDEN,
    "chunks behind a tab": _POST + _LENGTH + b"transfer-encoding:\tchunked\r\n\r\n" + _END + HIDDEN,
    "chunks behind a vertical tab": _POST + _LENGTH + b"transfer-encoding:\x0bchunked\r\n\r\n" + _END + HIDDEN,
    "two lengths": _POST + b"content-length: 0\r\n" + _LENGTH + b"\r\n" + _END + HIDDEN,
    "two equal lengths": _POST + b"content-length: 0\r\ncontent-length: 0\r\n\r\n" + HIDDEN,
    "a list of lengths": _POST + b"content-length: 0, 0\r\n\r\n" + HIDDEN,
    "a length with a sign": _POST + b"content-length: +0\r\n\r\n" + HIDDEN,
    "a negative length": _POST + b"content-length: -1\r\n\r\n" + HIDDEN,
    "a length in hexadecimal": _POST + b"content-length: 0x0\r\n\r\n" + HIDDEN,
    "a length with a letter": _POST + b"content-length: 0a\r\n\r\n" + HIDDEN,
    "a length with a space": _POST + b"content-length: 0 0\r\n\r\n" + HIDDEN,
    "a length beyond all": _POST + b"content-length: 18446744073709551616\r\n\r\n" + HIDDEN,
    "a space before the colon": _POST + b"content-length : 0\r\n\r\n" + HIDDEN,
    "a folded header": _POST + b"x: 1\r\n content-length: 99\r\n\r\n" + HIDDEN,
    "a folded length": _POST + b"content-length:\r\n 0\r\n\r\n" + HIDDEN,
    "a header that begins with a space": b"GET / HTTP/1.1\r\n host: x\r\n\r\n" + HIDDEN,
    "a header without a colon": _POST + b"content-length\r\n\r\n" + HIDDEN,
    "a header without a name": _POST + b": 0\r\n\r\n" + HIDDEN,
    "a zero byte in a header": _POST + b"x: a\0b\r\n\r\n" + HIDDEN,
    "a zero byte in a name": _POST + b"content-\0length: 0\r\n\r\n" + HIDDEN,
    "a bare line feed": b"GET /api/v1/announcement HTTP/1.1\nhost: x\n\n" + HIDDEN,
    "a bare line feed in a header": _POST + b"x: 1\ncontent-length: 0\r\n\r\n" + HIDDEN,
    "a bare carriage return": _POST + b"x: 1\rcontent-length: 0\r\n\r\n" + HIDDEN,
    "a chunk that is too long": _POST + _CHUNKED + b"\r\nfffffffffffffffff\r\n" + HIDDEN,
    "a chunk with a sign": _POST + _CHUNKED + b"\r\n+5\r\nhello\r\n" + _END + HIDDEN,
    "a chunk in 0x": _POST + _CHUNKED + b"\r\n0x5\r\nhello\r\n" + _END + HIDDEN,
    "a chunk that ends late": _POST + _CHUNKED + b"\r\n5\r\nhello!\r\n" + _END + HIDDEN,
    "a chunk behind a line feed": _POST + _CHUNKED + b"\r\n5\nhello\r\n" + _END + HIDDEN,
    "HTTP 0.9": b"GET /api/v1/announcement\r\n\r\n" + HIDDEN,
    "HTTP 1.10": b"GET /api/v1/announcement HTTP/1.10\r\n\r\n" + HIDDEN,
    "HTTP 2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "a space in the address": b"GET /api/v1/announcement x HTTP/1.1\r\nhost: x\r\n\r\n" + HIDDEN,
    "two hosts": _GET + b"host: y\r\n\r\n" + HIDDEN,
    "an upgrade and more": b"GET /nothing HTTP/1.1\r\nhost: x\r\n" + _UPGRADE + b"websocket\r\n\r\n" + HIDDEN,
    "another upgrade": b"GET /realtime HTTP/1.1\r\nhost: x\r\n" + _UPGRADE + b"h2c\r\n\r\n" + HIDDEN,
    "a tunnel": b"CONNECT /api/v1/announcement HTTP/1.1\r\nhost: x\r\n\r\n" + HIDDEN,
}  # fmt: skip
AS_ONE: dict[str, bytes] = {
    "a length that covers it": _POST + b"content-length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "a chunk that covers it": _POST + _CHUNKED + b"\r\n%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n" + _END,
    "a chunk with an extension": _POST + _CHUNKED + b"\r\n%x;a=b\r\n" % len(HIDDEN) + HIDDEN + b"\r\n" + _END,
    "the end of chunks in capitals": _POST + b"Transfer-Encoding: CHUNKED\r\n\r\n" + _END,
    "a GET with a body": _GET + b"content-length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
    "two spaces in the line": _GET.replace(b" HTTP", b"  HTTP") + b"\r\n",
    "an absolute address": b"GET http://evil.example/api/v1/announcement HTTP/1.1\r\nhost: x\r\n\r\n",
    "another verb in a header": _GET + b"x-http-method-override: DELETE\r\n\r\n",
    "another address in a header": _GET + b"x-original-url: /api/v1/user\r\n\r\n",
    "two escaped lines in the address": b"GET /api/v1/announcement?a=%0d%0a%0d%0aGET%20/ HTTP/1.1\r\nhost: x\r\n\r\n",
}  # fmt: skip


def test_the_hidden_request_alone_is_answered(venue: Venue) -> None:
    with Wire(venue.port) as wire:
        assert [answer.status for answer in wire.everything(HIDDEN)] == [401]


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_two_ways_is_refused_and_nothing_behind_it_is_read(venue: Venue, name: str) -> None:
    with Wire(venue.port) as wire:
        answers = wire.everything(REFUSED[name])
    assert [answer.status for answer in answers] in ([400], [404], [413]), answers
    assert answers[0].headers["connection"] == "close"


@pytest.mark.parametrize("name", AS_ONE)
def test_what_can_be_read_one_way_is_one_request(venue: Venue, name: str) -> None:
    with Wire(venue.port) as wire:
        answers = wire.everything(AS_ONE[name])
    assert len(answers) == 1, answers
    assert answers[0].status != 401, "the hidden one was answered"


def test_what_is_cut_off_is_not_carried_out(venue: Venue) -> None:
    """Half a request that ends with the connection, and a body that is shorter than was said."""
    with Wire(venue.port) as wire:
        assert wire.everything(_POST + _LENGTH + b"\r\n{}", first_seconds=0.3) == []
        assert wire.everything(HIDDEN[:-2], first_seconds=0.3) == []


def test_what_came_whole_is_answered_before_what_cannot_be_read(venue: Venue) -> None:
    """An answer never belongs to another request: the refusal is the last, and the connection ends with it."""
    good = _GET + b"\r\n"
    slow = b"GET /api/v1/trade HTTP/1.1\r\nhost: x\r\n\r\n"
    with Wire(venue.port) as wire:
        answers = wire.everything(slow + good + slow + REFUSED["two hosts"] + good)
    assert [answer.status for answer in answers] == [200, 200, 200, 400]
    assert [answer.headers.get("connection") for answer in answers] == [None, None, None, "close"]
