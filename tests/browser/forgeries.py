"""Some 170 ways to forge what is published, each with words of the sentence that must refuse it.

A forger may be a stranger, who changes bytes, or the exchange itself, which signs whatever it likes: both are here.
"""

import copy
import json
import struct
from collections.abc import Callable
from typing import Any

from tests.browser.porl_files import (
    ZEROS,
    Keys,
    Minutes,
    Snapshot,
    block_header,
    dumps,
    index_of,
    index_signed,
    minute_link,
    sha,
    stamp,
    text_v1,
    u64,
)  # fmt: skip

Files = dict[str, bytes]
CSV, BIND = "XBt.liabilities.csv", "XBt.bind"


class World:
    """Two snapshots of a small venue, its minutes and a time stamp; made once."""

    def __init__(self) -> None:
        self.keys, self.others = Keys(), Keys("others")
        self.one = Snapshot(self.keys).build()
        self.two = self.one.after()
        self.minutes = Minutes(self.keys, snapshot=self.one).build()
        self.ots, self.block = stamp(minute_link(self.minutes.lines[-1]))
        self.pending, _ = stamp(minute_link(self.minutes.lines[-1]), pending=True)
        self.index = index_of(self.keys, [self.one, self.two], minutes={"000001.jsonl": self.minutes.file()})

    def v2(self) -> Files:
        return {"XBt.porl2": self.one.porl2}

    def v1(self) -> Files:
        return {
            CSV: self.one.v1,
            BIND: self.one.bind,
            "XBt.header": self.one.header,
            "index.json": self.index,
        }

    def person(self, account: int = 3, kind: str = "account", of: Snapshot | None = None) -> dict[str, str]:
        of = of or self.one
        key = {"account": of.nonce, "v2": of.snapshot_key, "v1": of.sub_nonce}[kind](account)
        login, units = of.book[account]
        return {
            "venue": of.keys.venue.hex(), "account": str(account), "login": login, "kind": kind, "key": key.hex(),
            "expect": str(units), "unit": "units", "blocks": "",
        }  # fmt: skip


Forged = tuple[Files, dict[str, str], str]
FORGED: dict[str, Callable[[World], Forged]] = {}


def forged(name: str) -> Callable[[Callable[[World], Forged]], Callable[[World], Forged]]:
    def keep(make: Callable[[World], Forged]) -> Callable[[World], Forged]:
        assert name not in FORGED
        FORGED[name] = make
        return make

    return keep


def _v1_line(name: str, number: int, change: Callable[[bytes], bytes], sentence: str) -> None:
    """One line of a v1 file is changed; nothing but the file is given, so that the tree alone must show it."""

    def make(w: World) -> Forged:
        lines = w.one.v1.split(b"\n")
        lines[number - 1] = change(lines[number - 1])
        return {CSV: b"\n".join(lines)}, {}, sentence

    FORGED[f"v1: {name}"] = make


def _value(change: Callable[[int], str]) -> Callable[[bytes], bytes]:
    return lambda line: line[:65] + change(int(line[65:])).encode()


def _flip(line: bytes) -> bytes:
    return (b"0" if line[:1] != b"0" else b"1") + line[1:]


# Line 300 is node 298, a leaf of 256; its parent is node 148 on line 150.
_v1_line(
    "a leaf's digest",
    300,
    _flip,
    "v1.digests: Digests that are not their children's: line 150 (from lines 299 and 300)",
)
_v1_line(
    "a leaf's value",
    300,
    _value(lambda v: str(v + 1)),
    "v1.sums: Values that are not their children's sum: line 150 (from lines 299 and 300)",
)
_v1_line("a node's digest", 150, _flip, "line 150 (from lines 299 and 300)")
_v1_line("a node's value", 150, _value(lambda v: str(v + 1)), "line 150 (from lines 299 and 300)")
_v1_line("the root's digest", 2, _flip, "line 2 (from lines 3 and 4)")
_v1_line(
    "the root's value",
    2,
    _value(lambda v: str(v - 1)),
    "v1.sums: Values that are not their children's sum: line 2",
)
_v1_line("W6: a negative value", 300, _value(lambda v: str(-v - 1)), "Line 300: the value -")
_v1_line("a plus sign", 300, _value(lambda v: f"+{v}"), "has a sign")
_v1_line("a space before a value", 300, _value(lambda v: f" {v}"), "Line 300: the value")
_v1_line("a space after a value", 300, _value(lambda v: f"{v} "), "Line 300: the value")
_v1_line("a leading zero", 300, _value(lambda v: f"0{v}" if v else "00"), "Line 300: the value 0")
_v1_line("a point", 300, _value(lambda v: f"{v}.0"), "Line 300: the value")
_v1_line("no value", 300, lambda line: line[:65], "Line 300: the value")
_v1_line(
    "a value of 2^64",
    300,
    _value(lambda _: str(2**64)),
    "Line 300: the value 18446744073709551616 is not below 2^64",
)
_v1_line("a value of 2^64 + 5", 300, _value(lambda _: str(2**64 + 5)), "is not below 2^64")
_v1_line("a value of 30 digits", 300, _value(lambda _: "9" * 30), "Line 300: the value")
_v1_line("a digest in capitals", 300, lambda line: b"A" + line[1:], "Line 300: it does not begin with 64")
_v1_line("a digest of 63 digits", 300, lambda line: line[1:], "Line 300: it does not begin with 64")
_v1_line(
    "no comma", 300, lambda line: line.replace(b",", b";"), "Line 300: after 64 digits there is no comma"
)
_v1_line("an empty line", 300, lambda _: b"", "Line 300: it is empty")
_v1_line("a carriage return", 300, lambda line: line + b"\r", "Line 300: the value")
_v1_line(
    "a line twice",
    300,
    lambda line: line + b"\n" + line,
    "Line 513: the file ends within a row: row 9 has 1 of 512 nodes",
)
_v1_line("a first line without a height", 1, lambda _: b"block_height:", "Line 1:")
_v1_line("a height with a sign", 1, lambda _: b"block_height:-5", "Line 1:")
_v1_line("a first line of another kind", 1, lambda _: b"account,amount", "Line 1:")


@forged("v1: two leaves change places")
def _(w: World) -> Forged:
    lines = w.one.v1.split(b"\n")
    lines[299], lines[399] = lines[399], lines[299]
    return (
        {CSV: b"\n".join(lines)},
        {},
        "line 150 (from lines 299 and 300), line 200 (from lines 399 and 400)",
    )


@forged("v1: W2, cut within the last row")
def _(w: World) -> Forged:
    return (
        {CSV: b"\n".join(w.one.v1.split(b"\n")[:400])},
        {},
        "Line 400: the file ends within a row: row 8 has 144 of 256",
    )


@forged("v1: W2, a whole last row is missing")
def _(w: World) -> Forged:
    lines = w.one.v1.split(b"\n")[: 1 + 255]
    return w.v1() | {CSV: b"\n".join(lines)}, {}, "v1.leaves: Line 256: it ends with 128 leaves"


@forged("v1: cut within a line")
def _(w: World) -> Forged:
    return {CSV: w.one.v1[:-70]}, {}, "Line 512:"


@forged("v1: bytes after the end")
def _(w: World) -> Forged:
    return {CSV: w.one.v1 + b"\n"}, {}, "Line 513: it is empty"


@forged("v1: nothing but a height")
def _(w: World) -> Forged:
    return {CSV: b"block_height:900000\n"}, {}, "Line 2: there is no root"


@forged("v1: an empty file")
def _(w: World) -> Forged:
    return {CSV: b""}, {}, "Line 1: the file is empty"


@forged("v1: W4, another height")
def _(w: World) -> Forged:
    return (
        w.v1() | {CSV: w.one.v1.replace(b"900000", b"900001", 1)},
        {},
        "v1.height: Line 1: the height is 900001",
    )


@forged("v1: W5, a false subtree that holds other people's leaves")
def _(w: World) -> Forged:
    """Only nodes above somebody else's leaves lie; my own path is right."""
    rows = [(list(digests), list(values)) for digests, values in w.one.rows]
    mine = {place // 2 for place in w.one.places(3)}
    node = next(k for k in range(128) if k not in mine)
    rows[0][1][2 * node] += 5_000_000
    text = text_v1(w.one.height, rows)
    line = 2 + 127 + node
    return {CSV: text}, {}, f"v1.sums: Values that are not their children's sum: line {line} "


@forged("v1: the larger child in place of the sum")
def _(w: World) -> Forged:
    """Bybit's validator takes it. Every digest is right; only values are not sums."""
    digests, values = w.one.rows[0]
    rows = [(digests, values)]
    while len(values) > 1:
        digests = [
            sha(digests[k], u64(values[k]), digests[k + 1], u64(values[k + 1]))
            for k in range(0, len(values), 2)
        ]
        values = [max(values[k], values[k + 1]) for k in range(0, len(values), 2)]
        rows.append((digests, values))
    return {CSV: text_v1(w.one.height, rows)}, {}, "v1.sums: Values that are not their children's sum: line "


@forged("v1: a sum that wraps at 2^64")
def _(w: World) -> Forged:
    big = [(sha(b"a"), sha(b"b")), (2**64 - 1, 3)]
    root = sha(big[0][0], u64(big[1][0]), big[0][1], u64(big[1][1]))
    text = text_v1(900_000, [(list(big[0]), list(big[1])), ([root], [2])])
    return {CSV: text}, {}, "v1.sums: Values that are not their children's sum: line 2 (from lines 3 and 4)"


@forged("v1: one that was not signed")
def _(w: World) -> Forged:
    return w.v1() | {CSV: w.two.v1}, {}, "v1.root: Line 2: the root is"


@forged("v1: no such file according to the header")
def _(w: World) -> Forged:
    bare = Snapshot(w.keys, with_v1=False).build()
    return (
        {CSV: w.one.v1, "XBt.porl2": bare.porl2},
        {},
        "v1.header: XBt.porl2 says that there is no such file",
    )


@forged("v1: other leaves than in the porl2 file, both signed")
def _(w: World) -> Forged:
    cheat = copy.copy(w.one)
    first = w.one.places(5)[0]
    cheat.placed = list(w.one.placed)
    other = next(k for k, (owner, value) in enumerate(cheat.placed) if owner == 0 and value == 0)
    cheat.placed[other], cheat.placed[first] = cheat.placed[first], cheat.placed[other]
    cheat._leaves_v1()
    cheat._header()
    files = {"XBt.porl2": cheat.porl2, CSV: cheat.v1, BIND: cheat.bind}
    return files, {}, f"v1.same: Line {256 + 1 + min(first, other)}: the value is"


@forged("v1: the header of another asset")
def _(w: World) -> Forged:
    other = Snapshot(w.keys, asset="USDt").build()
    return {CSV: w.one.v1, "USDt.header": other.header}, {}, "v1.root: Line 2: the root is"


@forged("v1: an old header is replayed")
def _(w: World) -> Forged:
    return {CSV: w.two.v1, "XBt.header": w.one.header}, {}, "v1.root: Line 2: the root is"


@forged("sidecar: one bit")
def _(w: World) -> Forged:
    bind = bytearray(w.one.bind)
    bind[100] ^= 4
    return w.v1() | {BIND: bytes(bind)}, {}, "bind.file: The sidecar's SHA-256 is"


@forged("sidecar: two rows change places")
def _(w: World) -> Forged:
    bind = w.one.bind
    return w.v1() | {BIND: bind[32:64] + bind[:32] + bind[64:]}, {}, "bind.file:"


@forged("sidecar: cut")
def _(w: World) -> Forged:
    return (
        w.v1() | {BIND: w.one.bind[:-1]},
        {},
        "bind.length: Byte 8191: it has 8191 bytes; 256 leaves need 8192",
    )


@forged("sidecar: too long")
def _(w: World) -> Forged:
    return w.v1() | {BIND: w.one.bind + b"\0"}, {}, "bind.length: Byte 8192"


@forged("sidecar: a house leaf is bound to somebody else, and signed")
def _(w: World) -> Forged:
    cheat = copy.copy(w.one)
    place = w.one.places(7)[0]
    cheat.bind = w.one.bind[: 32 * place] + bytes(32) + w.one.bind[32 * place + 32 :]
    cheat._header()
    files = {"XBt.porl2": cheat.porl2, CSV: cheat.v1, BIND: cheat.bind}
    return files, {}, f'v1.house: House account "insurance fund": line {256 + 1 + place} is not its own'


def _porl2(name: str, change: Callable[[World, bytearray, int], bytes], sentence: str) -> None:
    """The bytes of a porl2 file are changed; the third argument is where its leaves begin."""

    def make(w: World) -> Forged:
        return {"XBt.porl2": bytes(change(w, bytearray(w.one.porl2), 12 + len(w.one.header)))}, {}, sentence

    FORGED[f"v2: {name}"] = make


def _xor(data: bytearray, at: int) -> bytes:
    data[at] ^= 1
    return bytes(data)


_porl2(
    "a leaf's digest", lambda w, d, at: _xor(d, at + 40 * 77), "porl2.signature: The publisher's signature"
)
_porl2("a leaf's value", lambda w, d, at: _xor(d, at + 40 * 77 + 32), "porl2.total: The leaves add up to")
_porl2(
    "the highest byte of a value",
    lambda w, d, at: _xor(d, at + 40 * 77 + 39),
    "porl2.total: The leaves add up to",
)
_porl2(
    "two leaves change places",
    lambda w, d, at: d[:at] + d[at + 40 : at + 80] + d[at : at + 40] + d[at + 80 :],
    "porl2.signature:",
)
_porl2("a byte of the header", lambda w, d, at: bytes(d).replace(b"62000.5", b"62000.6"), "porl2.signature:")
_porl2("the publisher", lambda w, d, at: _xor(d, len(d) - 160), "porl2.signature:")
_porl2(
    "the endorsement", lambda w, d, at: _xor(d, len(d) - 128), "porl2.endorsement: The venue's endorsement"
)
_porl2("the signature", lambda w, d, at: _xor(d, len(d) - 1), "porl2.signature:")
_porl2("cut in its signature", lambda w, d, at: d[:-1], "the file ends here, 1 bytes too early")
_porl2("cut in its leaves", lambda w, d, at: d[: at + 40 * 100 + 3], "too early (leaf 100 of 256)")
_porl2("cut in its header", lambda w, d, at: d[:300], "Byte 8: the header should have")
_porl2("cut at the start", lambda w, d, at: d[:10], "Byte 10: the file ends within its first 12 bytes")
_porl2("a byte too many", lambda w, d, at: d + b"\0", "should end here, but 1 bytes follow")
_porl2(
    "a leaf too many", lambda w, d, at: d[:at] + bytes(40) + d[at:], "should end here, but 40 bytes follow"
)
_porl2("another magic", lambda w, d, at: b"porl3" + d[5:], "Byte 0: the file does not begin with porl2")
_porl2("a version in the magic", lambda w, d, at: _xor(d, 7), "Byte 0: the file does not begin with porl2")
_porl2(
    "a header longer than the file",
    lambda w, d, at: d[:8] + b"\xff\xff\xff\xff" + d[12:],
    "Byte 8: the header should have",
)
_porl2(
    "a header shorter than itself",
    lambda w, d, at: d[:8] + struct.pack("<I", at - 13) + d[12:],
    "header.shape:",
)
_porl2(
    "another publisher signs",
    lambda w, d, at: w.one.sealed(w.one.header, keys=w.others),
    "porl2.endorsement:",
)


def _figures(name: str, change: Callable[[dict[str, Any]], object], sentence: str) -> None:
    """Figures that the publisher itself has signed: its key helps no lie."""

    def make(w: World) -> Forged:
        figures = copy.deepcopy(w.one.figures)
        change(figures)
        return {"XBt.porl2": w.one.sealed(w.one.cut + b"\n" + dumps(figures))}, {}, sentence

    FORGED[f"signed figures: {name}"] = make


def _more(value: str, by: int) -> str:
    return str(int(value) + by)


def _shift(figures: dict[str, Any], *names: str) -> None:
    for name in names:
        figures["sums"][name] = _more(figures["sums"][name], 1)


_figures("a smaller total", lambda f: f.update(total=_more(f["total"], -1)), "header.total:")
_figures(
    "a smaller total, and sums to it",
    lambda f: (f.update(total=_more(f["total"], 1)), _shift(f, "wallets", "netDeposits")),
    "porl2.total: The leaves add up to",
)
_figures("wallets", lambda f: _shift(f, "wallets"), "header.total:")
_figures("net deposits", lambda f: _shift(f, "netDeposits"), "header.deposits:")
_figures("deposits in flight", lambda f: _shift(f, "inFlight"), "header.total:")
_figures(
    "a negative sum below zero",
    lambda f: f["sums"].update(negative="-5"),
    '"negative" is not what it must be',
)
_figures(
    "a total that is a number", lambda f: f.update(total=int(f["total"])), '"total" is not what it must be'
)
_figures(
    "a total with a leading zero",
    lambda f: f.update(total="0" + f["total"]),
    '"total" is not what it must be',
)
_figures("an unknown format", lambda f: f.update(format="porl3"), 'the format "porl3" is not known')
_figures("a key too many", lambda f: f.update(zebra=1), '"zebra" does not belong there')
_figures("a key too few", lambda f: f.pop("previous"), '"previous" is missing')
_figures("a digest in capitals", lambda f: f.update(reserves="AB" * 32), '"reserves" is not what it must be')
_figures(
    "leaves that are no power of two",
    lambda f: f.update(leaves=255),
    '"leaves" is 255, which is no power of two',
)
_figures("half the leaves", lambda f: f.update(leaves=128), "should end here, but 5120 bytes follow")
_figures("no leaves", lambda f: f.update(leaves=0), '"leaves" is 0, which is no power of two')
_figures("the first snapshot has one before it", lambda f: f.update(previous="ab" * 32), "header.first:")
_figures("a house row's balance", lambda f: f["house"][0].update(balance="1"), "but its balance is 1")
_figures("a house row's key", lambda f: f["house"][0].update(key="ab" * 32), "is not its own")
_figures(
    "a house leaf that is not theirs",
    lambda f: f["house"][0]["leaves"].__setitem__(0, f["house"][1]["leaves"][0] ^ 1),
    "is not its own",
)
_figures(
    "a house leaf beyond the end",
    lambda f: f["house"][0]["leaves"].append(256),
    '"house" names leaf 256; there are 256',
)
_figures(
    "a house leaf twice",
    lambda f: f["house"][0]["leaves"].append(f["house"][0]["leaves"][0]),
    '"house" names a leaf twice',
)
_figures(
    "a house leaf that two rows name",
    lambda f: f["house"][0]["leaves"].append(f["house"][1]["leaves"][0]),
    '"house" names a leaf twice',
)
_figures(
    "a house row with a key too many", lambda f: f["house"][0].update(more=1), '"more" does not belong there'
)
_figures(
    "a house leaf that is no number",
    lambda f: f["house"][0].update(leaves=["1"]),
    '"leaves" is not what it must be',
)


def _header(name: str, change: Callable[[World], bytes], sentence: str) -> None:
    """A header whose bytes the publisher itself has signed."""

    def make(w: World) -> Forged:
        return {"XBt.porl2": w.one.sealed(change(w))}, {}, sentence

    FORGED[f"signed header: {name}"] = make


def _cut(w: World, **changes: Any) -> bytes:
    return dumps(json.loads(w.one.cut) | changes) + b"\n" + dumps(w.one.figures)


_header(
    "a key twice",
    lambda w: w.one.header.replace(b'"leaves":256', b'"leaves":256,"leaves":256'),
    'the key "leaves" is there twice',
)
_header(
    "a key twice in the cut",
    lambda w: w.one.header.replace(b'"scale":8', b'"scale":8,"scale":8'),
    'the key "scale" is there twice',
)
_header(
    "a key twice in a house row",
    lambda w: w.one.header.replace(b'"account":7', b'"account":7,"account":7'),
    'the key "account" is there twice',
)
_header(
    "keys that are not sorted",
    lambda w: w.one.header.replace(b'"format":"porl2",', b"").replace(b'"v1":{', b'"format":"porl2","v1":{'),
    "is not written with sorted keys",
)
_header(
    "a space",
    lambda w: w.one.header.replace(b'"leaves":256', b'"leaves": 256'),
    "is not written with sorted keys and without spaces",
)
_header(
    "a number with a point",
    lambda w: w.one.header.replace(b'"leaves":256', b'"leaves":256.0'),
    "this is no whole number",
)
_header(
    "a number with an exponent",
    lambda w: w.one.header.replace(b'"scale":8', b'"scale":8e0'),
    "this is no whole number",
)
_header(
    "a letter beyond ASCII",
    lambda w: w.one.header.replace(b'"fees","name"', b'"f\xc3\xa9es","name"'),
    "has a byte that is not plain ASCII",
)
_header("a newline at the end", lambda w: w.one.header + b"\n", "has a byte that is not plain ASCII")
_header("no newline", lambda w: w.one.header.replace(b"\n", b""), "has no newline between its two objects")
_header("one object", lambda w: w.one.cut + b"\n", "is no strict JSON")
_header(
    "a number too large",
    lambda w: w.one.header.replace(b'"sequence":1000', b'"sequence":9007199254740993'),
    "this is no whole number below 2^53",
)
_header("another scale", lambda w: _cut(w, scale=2), 'header.scale: "scale" is 2')
_header(
    "a time without a zone",
    lambda w: _cut(w, timestamp="2026-10-07T12:00:00"),
    '"timestamp" is not what it must be',
)
_header(
    "a mark that is a number", lambda w: _cut(w, marks={"XBTUSD": 62000}), '"marks" is not what it must be'
)
_header("another venue", lambda w: _cut(w, venue="ab" * 32), "header.venue: The header names the venue abab")


@forged("v2: of another venue")
def _(w: World) -> Forged:
    other = Snapshot(w.others).build()
    return {"XBt.porl2": other.porl2}, {}, "header.venue: The header names the venue"


@forged("header: another than in the porl2 file")
def _(w: World) -> Forged:
    header = w.one.header.replace(b"62000.5", b"62000.6")
    return w.v2() | {"XBt.header": header}, {}, "chain.twice: XBt, snapshot 1: this header differs"


@forged("header: cut")
def _(w: World) -> Forged:
    return w.v2() | {"XBt.header": w.one.header[:-1]}, {}, "is no strict JSON"


@forged("header: not JSON at all")
def _(w: World) -> Forged:
    return w.v2() | {"XBt.header": b"hello\nyou"}, {}, "Byte 0 on: the header's cut is no strict JSON"


@forged("chain: another header before")
def _(w: World) -> Forged:
    torn = w.one.after(previous=sha(b"another").hex())
    return {"1.porl2": w.one.porl2, "2.porl2": torn.porl2}, {}, 'chain.previous: "previous" of snapshot 2 is'


@forged("chain: two headers of one snapshot")
def _(w: World) -> Forged:
    twin = w.one.after(number=1, previous=ZEROS)
    return {"1.porl2": w.one.porl2, "twin.header": twin.header}, {}, "Two were made of one snapshot"


@forged("chain: a later snapshot that is earlier")
def _(w: World) -> Forged:
    early = w.one.after(timestamp="2026-10-01T00:00:00.000Z")
    return {"1.porl2": w.one.porl2, "2.porl2": early.porl2}, {}, "chain.order: Snapshot 2 is not later than 1"


@forged("chain: an opened minute of another snapshot")
def _(w: World) -> Forged:
    minute = w.one.after(number=1, reserves=b"", with_v1=False, previous="ab" * 32)
    return (
        {"1.porl2": minute.porl2, "1.header": w.one.header},
        {},
        'chain.minute: "previous" of the opened minute',
    )


@forged("reserves: another file")
def _(w: World) -> Forged:
    return w.v2() | {"reserves.json": b"{}"}, {}, "other.reserves: Its SHA-256 is"


def _index(name: str, change: Callable[[World], bytes], sentence: str) -> None:
    def make(w: World) -> Forged:
        return w.v2() | {"index.json": change(w)}, {}, sentence

    FORGED[f"index: {name}"] = make


def _outer(w: World, **changes: str) -> bytes:
    return json.dumps(json.loads(w.index) | changes).encode()


def _told(change: Callable[[dict[str, Any]], object]) -> Callable[[World], bytes]:
    return lambda w: index_of(w.keys, [w.one, w.two], change=change)


def _listed(index: dict[str, Any]) -> dict[str, Any]:
    return index["snapshots"][0]["assets"]["XBt"]


_index(
    "another text",
    lambda w: _outer(w, index=json.loads(w.index)["index"].replace("302400", "302401")),
    "index.signature: The publisher's signature over the index is wrong",
)
_index("the signature", lambda w: _outer(w, signature="00" * 64), "index.signature:")
_index("the endorsement", lambda w: _outer(w, endorsement="00" * 64), "index.endorsement:")
_index("of another venue", lambda w: index_of(w.others, [w.one, w.two]), "index.endorsement:")
_index("names another venue", _told(lambda i: i.update(venue="ab" * 32)), "index.venue:")
_index(
    "another size",
    _told(lambda i: i["snapshots"][0]["files"]["XBt.porl2"].update(bytes=5)),
    "The index lists 5 bytes",
)
_index(
    "another hash",
    _told(lambda i: i["snapshots"][0]["files"]["XBt.porl2"].update(sha256="ab" * 32)),
    "index.file: The index lists",
)
_index(
    "another header", _told(lambda i: _listed(i).update(header="ab" * 32)), 'as "header" of XBt, snapshot 1'
)
_index("another total", _told(lambda i: _listed(i).update(total="5")), 'as "total" of XBt, snapshot 1')
_index("another root", _told(lambda i: _listed(i).update(snapshotRoot="ab" * 32)), 'as "snapshotRoot" of XBt')
_index("less below zero", _told(lambda i: _listed(i).update(negative="0")), 'as "negative" of XBt')
_index("less for demonstration", _told(lambda i: _listed(i).update(demo="0")), 'as "demo" of XBt')
_index(
    "the newest first",
    _told(lambda i: i["snapshots"].reverse()),
    "index.shape: The index lists snapshot 1 after 2",
)
_index(
    "a snapshot twice",
    _told(lambda i: i["snapshots"].append(i["snapshots"][-1])),
    "index.shape: The index lists snapshot 2 after 2",
)
_index(
    "a key twice",
    lambda w: w.index.replace(b'"publisher"', b'"publisher": "", "publisher"'),
    'the key "publisher" is there twice',
)
_index(
    "a key twice in its text",
    lambda w: index_signed(
        w.keys, json.loads(w.index)["index"].replace('"period":302400', '"period":1,"period":302400')
    ),
    'the key "period" is there twice',
)
_index("cut", lambda w: w.index[:-1], "index.shape: In the file")
_index("bytes after the end", lambda w: w.index + b"{}", "something follows the end")
_index("no list of minutes", _told(lambda i: i.pop("minutes")), 'The index\'s "minutes" is missing')


def _minutes(name: str, change: Callable[[World], bytes], sentence: str) -> None:
    def make(w: World) -> Forged:
        return w.v2() | {"000001.jsonl": change(w)}, {}, sentence

    FORGED[f"minutes: {name}"] = make


def _changed(at: int, **changes: Any) -> Callable[[World], bytes]:
    """A chain that is right but for one minute, and signed."""

    def change(k: int, minute: dict[str, Any]) -> None:
        if k == at:
            minute.update(changes)

    return lambda w: Minutes(w.keys, snapshot=w.one, change=change).build().file()


def _lines(change: Callable[[list[bytes]], object]) -> Callable[[World], bytes]:
    def make(w: World) -> bytes:
        lines = w.minutes.file().splitlines(keepends=True)
        change(lines)
        return b"".join(lines)

    return make


def _resigned(text: Callable[[bytes], bytes]) -> Callable[[World], bytes]:
    """The last minute's text, changed and signed again."""
    return lambda w: (
        b"".join([w.minutes.line(t) for t in w.minutes.lines[:-1]])
        + w.minutes.line(text(w.minutes.lines[-1]))
    )


_minutes(
    "a changed total",
    _lines(lambda lines: lines.__setitem__(-1, lines[-1].replace(b"123456789", b"123456788"))),
    "minutes.signatures: Line 12: the publisher's signature is wrong",
)
_minutes(
    "a changed total in the middle",
    _lines(lambda lines: lines.__setitem__(5, lines[5].replace(b"123456789", b"123456788"))),
    'minutes.chain: Line 7: "previous" is not the digest of minute 5',
)
_minutes(
    "signed by somebody else",
    lambda w: Minutes(w.others, snapshot=w.one).build().file(),
    "minutes.signatures: Line 1:",
)
_minutes(
    "a line is missing", _lines(lambda lines: lines.pop(5)), "minutes.chain: Line 6: minute 6 comes after 4"
)
_minutes(
    "two lines change places",
    _lines(lambda lines: lines.insert(4, lines.pop(5))),
    "minutes.chain: Line 5: minute 5 comes after 3",
)
_minutes(
    "a line twice",
    _lines(lambda lines: lines.insert(5, lines[5])),
    "minutes.chain: Line 7: minute 5 comes after 5",
)
_minutes("a number is left out", _changed(6, n=7), "minutes.chain: Line 7: minute 7 comes after 5")
_minutes(
    "a link to somewhere else", _changed(6, previous="ab" * 32), 'minutes.chain: Line 7: "previous" is not'
)
_minutes(
    "a first one with one before it",
    _changed(0, previous="ab" * 32),
    'minutes.chain: Line 1: "previous" of the first',
)
_minutes(
    "back in time", _changed(6, timestamp="2026-10-07T11:00:00.000Z"), "minutes.chain: Line 7: its timestamp"
)
_minutes("back in sequence", _changed(6, sequence=3), "minutes.chain: Line 7: its sequence 3 is below")
_minutes("another reason", _changed(6, because="mood"), 'Line 7: "because" is not what it must be')
_minutes(
    "a total below zero",
    _changed(6, totals={"XBt": ["-5", "0", None]}),
    'Line 7: "totals" is not what it must be',
)
_minutes(
    "another total than the header's",
    _changed(0, totals={"XBt": ["1", "0", None]}),
    "minutes.cut: Line 1 of 000001.jsonl: minute 0 says another",
)
_minutes(
    "another state than the header's", _changed(0, stateRoot="ab" * 32), "minutes.cut: Line 1 of 000001.jsonl"
)
_minutes(
    "a key twice",
    _resigned(lambda text: text.replace(b'"n":11', b'"n":11,"n":11')),
    'Line 12: character 204: the key "n" is there twice',
)
_minutes(
    "a space",
    _resigned(lambda text: text.replace(b'"n":11', b'"n": 11')),
    "Line 12: the minute is not written with sorted keys",
)
_minutes(
    "a key too many", _resigned(lambda text: text[:-1] + b',"z":1}'), 'Line 12: "z" does not belong there'
)
_minutes("an empty line", _lines(lambda lines: lines.insert(5, b"\n")), "Line 6: character 1:")
_minutes("cut within a line", lambda w: w.minutes.file()[:-9], "Line 12:")
_minutes("not UTF-8", lambda w: w.minutes.file() + b"\xff\n", "The file is not UTF-8 text")


def _ots(
    name: str,
    change: Callable[[World], bytes],
    sentence: str,
    block: Callable[[World], bytes] = lambda w: w.block,
) -> None:
    def make(w: World) -> Forged:
        files = w.v2() | {"000001.jsonl": w.minutes.file(), "000001.ots": change(w)}
        return files, {"blocks": block(w).hex()}, sentence

    FORGED[f"time stamp: {name}"] = make


_ots(
    "another digest",
    lambda w: _xor(bytearray(w.ots), 40),
    "ots.block: The time stamp ends in the Merkle root",
)
_ots(
    "another branch",
    lambda w: w.ots.replace(sha(b"salt")[:16], bytes(16)),
    "ots.block: The time stamp ends in the Merkle root",
)
_ots(
    "another digest in the path",
    lambda w: w.ots.replace(sha(b"\1"), bytes(32)),
    "ots.block: The time stamp ends in",
)
_ots(
    "another block",
    lambda w: w.ots,
    "ots.block: The time stamp ends in",
    lambda w: block_header(sha(b"other")),
)
_ots(
    "a block without work",
    lambda w: w.ots,
    "which is not below the target",
    lambda w: w.block[:72] + b"\xff\xff\x00\x1d" + w.block[76:],
)
_ots(
    "a block of no difficulty at all",
    lambda w: w.ots,
    "which is not below the target",
    lambda w: w.block[:72] + b"\xff\xff\x7f\xff" + w.block[76:],
)
_ots("cut", lambda w: w.ots[:-1], "ots.shape: Byte")
_ots("bytes after the end", lambda w: w.ots + b"\1", "1 bytes follow the end")
_ots("zeros after the end", lambda w: w.ots + bytes(40), "this is no OpenTimestamps file")
_ots("another magic", lambda w: _xor(bytearray(w.ots), 3), "Byte 0: this is no OpenTimestamps file")
_ots(
    "another version",
    lambda w: w.ots[:31] + b"\2" + w.ots[32:],
    "this version of OpenTimestamps is not known",
)
_ots("another hash function", lambda w: w.ots[:32] + b"\2" + w.ots[33:], "is not over a SHA-256 digest")
_ots("an unknown operation", lambda w: w.ots[:65] + b"\x55" + w.ots[66:], "the operation 0x55 is not known")
_ots("nested too deep", lambda w: w.ots[:65] + b"\x08" * 300, "nested too deep")
_ots("an endless number", lambda w: w.ots[:65] + b"\xf0" + b"\xff" * 20, "a number is too long")
_ots(
    "a piece that is too long",
    lambda w: w.ots[:65] + b"\xf0\xff\x7f" + bytes(9000),
    "a piece of 16383 bytes is not allowed",
)
