"""The offline page in Chromium: good files prove the right balance, and every forged one is refused by name."""

import copy
import json
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ringfence.assurance.proofs import seal
from tests.browser.chromium import ARGUMENTS, CHROMIUM
from tests.browser.porl_files import (
    ZEROS,
    Keys,
    Minutes,
    Snapshot,
    block_header,
    book_of,
    dumps,
    index_of,
    index_signed,
    minute_link,
    sha,
    stamp,
    text_v1,
    tree_v1,
    u64,
)

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

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
        self.index = index_of(self.keys, [self.one, self.two], minutes={"000001.jsonl": self.minutes.file()})

    def v2(self) -> Files:
        return {"XBt.porl2": self.one.porl2}

    def v1(self) -> Files:
        return {CSV: self.one.v1, BIND: self.one.bind, "XBt.header": self.one.header, "index.json": self.index}

    def person(self, account: int = 3, kind: str = "account", of: Snapshot | None = None) -> dict[str, str]:
        of = of or self.one
        key = {"account": of.nonce, "v2": of.snapshot_key, "v1": of.sub_nonce}[kind](account)
        login, units = of.book[account]
        return {
            "venue": of.keys.venue.hex(), "account": str(account), "login": login, "kind": kind, "key": key.hex(),
            "expect": str(units), "unit": "units", "blocks": "",
        }  # fmt: skip


class Verifier:
    """The page, driven as a person does; files and fields are changed without loading it again."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.page.goto(seal.PAGE.as_uri())

    def check(self, files: Files, form: dict[str, str]) -> dict[str, Any]:
        self.page.evaluate(
            """(form) => {
                files = [];
                window.ringfenceResult = null;
                for (const [name, value] of Object.entries(form)) byId("form").elements[name].value = value;
            }""",
            form,
        )
        some = [{"name": name, "mimeType": "", "buffer": data} for name, data in files.items()]
        self.page.set_input_files("#pick", some)
        self.page.click("#go")
        return self.page.wait_for_function("() => window.ringfenceResult", timeout=20_000).json_value()


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"Chromium is not installed: there is no {CHROMIUM}")
    with playwright_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def verifier(browser: Any) -> Iterator[Verifier]:
    page = browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    yield Verifier(page)
    page.close()
    assert complaints == []


def statuses(result: dict[str, Any], status: str) -> list[str]:
    return [f"{check['id']}: {check['text']}" for check in result["checks"] if check["status"] == status]


def proven(result: dict[str, Any]) -> bool:
    assert statuses(result, "forged") + statuses(result, "differs") + statuses(result, "unsure") == []
    return result["verdict"] == 0


# What must be proven ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", [3, 5, 7])
@pytest.mark.parametrize(("form", "kind"), [("v2", "account"), ("v2", "v2"), ("v1", "account"), ("v1", "v1")])
def test_good_files_prove_the_right_balance(
    verifier: Verifier, world: World, form: str, kind: str, account: int
) -> None:
    files = world.v2() if form == "v2" else world.v1()
    result = verifier.check(files, world.person(account, kind))
    assert proven(result)
    assert result["found"]["units"] == str(world.one.balance(account))
    assert result["found"]["leaves"] == len(world.one.places(account))
    assert "Not proven: that the coins are there" in result["notProven"]


def test_everything_at_once_is_proven(verifier: Verifier, world: World) -> None:
    files = world.one.files() | {"000001.jsonl": world.minutes.file(), "000001.ots": world.ots}
    files["index.json"] = index_of(
        world.keys, [world.one], minutes={"000001.jsonl": world.minutes.file(), "000001.ots": world.ots}
    )
    files["later.header"] = world.two.header
    files["index.json"] = index_of(
        world.keys,
        [world.one, world.two],
        minutes={"000001.jsonl": world.minutes.file(), "000001.ots": world.ots},
    )
    result = verifier.check(files, world.person() | {"blocks": world.block.hex()})
    assert proven(result)
    said = {check["id"] for check in result["checks"] if check["status"] == "ok"}
    assert {"v1.same", "mine.same", "minutes.cut", "chain.order", "ots.block", "other.reserves"} <= said


@pytest.mark.parametrize("asset", ["USDt", "Gwei", "LAMPORT"])
def test_other_assets(verifier: Verifier, world: World, asset: str) -> None:
    other = Snapshot(world.keys, asset=asset, seed=4).build()
    files = {f"{asset}.porl2": other.porl2, f"{asset}.liabilities.csv": other.v1, f"{asset}.bind": other.bind}
    assert proven(verifier.check(files, world.person(of=other)))


def test_a_tree_of_4096_leaves_and_its_top(verifier: Verifier, world: World) -> None:
    big = Snapshot(world.keys, leaves_min=8192, base_bits=8).build()
    assert len(big.top) == 96
    assert proven(verifier.check({"XBt.porl2": big.porl2, "XBt.top": big.top}, world.person(of=big)))
    small = Snapshot(world.keys, leaves_min=4096).build()
    assert proven(verifier.check({"XBt.porl2": small.porl2, "XBt.top": small.top}, world.person(of=small)))
    forged = bytearray(big.top)
    forged[40] ^= 1
    result = verifier.check({"XBt.porl2": big.porl2, "XBt.top": bytes(forged)}, world.person(of=big))
    assert result["verdict"] == 2
    assert "top.nodes: Byte 40" in statuses(result, "forged")[0]


def test_a_file_of_one_leaf(verifier: Verifier, world: World) -> None:
    """W7: BitMEX's tool fails on it."""
    tiny = Snapshot(world.keys, book={3: ("user3@example.com", 7)}, leaves_min=1).build()
    assert len(tiny.placed) == 1
    files = {"XBt.porl2": tiny.porl2, CSV: tiny.v1, BIND: tiny.bind}
    assert proven(verifier.check(files, world.person(of=tiny)))


def test_values_near_the_limit_of_64_bits(verifier: Verifier, world: World) -> None:
    """Sums are exact beyond 2^53 and 2^64; a v1 file cannot have the second, so there is none."""
    half = 2**63 - 25
    book = {3: ("a", 0), 4: ("b", 0)}
    rich = Snapshot(world.keys, book=book, leaves_min=4, with_v1=False)
    rich_pieces = [(3, half), (3, half), (4, 2**64 - 1), (4, 12)]
    rich = _with_leaves(rich, rich_pieces)
    result = verifier.check({"XBt.porl2": rich.porl2}, world.person(of=rich) | {"expect": str(2 * half)})
    assert proven(result)
    assert result["found"]["units"] == str(2**64 - 50)
    fits = _with_leaves(
        Snapshot(world.keys, book=book, leaves_min=4), [(3, half), (3, 2**53 + 1), (4, 99), (4, 1)]
    )
    files = {CSV: fits.v1, BIND: fits.bind, "XBt.porl2": fits.porl2}
    assert proven(verifier.check(files, world.person(of=fits) | {"expect": str(half + 2**53 + 1)}))


def _with_leaves(snapshot: Snapshot, placed: list[tuple[int, int]]) -> Snapshot:
    """The same snapshot with these leaves and no others."""
    snapshot.book = {k: v for k, v in snapshot.book.items() if k in (3, 4)}
    snapshot.build()
    snapshot.placed = placed
    snapshot._leaves_v2()
    snapshot._leaves_v1()
    snapshot._header()
    return snapshot


def test_the_last_line_need_not_end(verifier: Verifier, world: World) -> None:
    bare = copy.copy(world.one)
    bare.v1 = world.one.v1.rstrip(b"\n")
    bare._header()
    files = {CSV: bare.v1, BIND: bare.bind, "XBt.porl2": bare.porl2}
    assert proven(verifier.check(files, world.person()))


@pytest.mark.parametrize("expect", ["1.5", "1.50000000", "01.5", "1.500000000000"])
def test_coins_are_exact(verifier: Verifier, world: World, expect: str) -> None:
    assert proven(verifier.check(world.v2(), world.person() | {"expect": expect, "unit": "coins"}))


def test_a_login_is_the_same_in_capitals_and_decomposed(verifier: Verifier, world: World) -> None:
    book = book_of(40) | {3: ("jos\u00e9@example.com", 150_000_000)}
    named = Snapshot(world.keys, book=book).build()
    form = world.person(of=named) | {"login": "JOSE\u0301@Example.com "}
    assert proven(verifier.check({"XBt.porl2": named.porl2}, form))


def test_an_opened_minute_follows_its_snapshot(verifier: Verifier, world: World) -> None:
    minute = world.one.after(number=1, reserves=b"", with_v1=False, timestamp="2026-10-08T00:00:00.000Z")
    files = {"XBt.porl2": minute.porl2, "XBt.header": world.one.header}
    result = verifier.check(files, world.person(of=minute))
    assert proven(result)
    assert "chain.minute" in " ".join(statuses(result, "ok"))


def test_minutes_may_have_grown_since_the_index(verifier: Verifier, world: World) -> None:
    more = Minutes(world.keys, count=20, snapshot=world.one).build()
    assert more.file().startswith(world.minutes.file())
    files = world.v2() | {"index.json": world.index, "000001.jsonl": more.file()}
    assert proven(verifier.check(files, world.person()))


def test_a_shorter_chain_of_minutes_than_the_index_lists_is_no_forgery(verifier: Verifier, world: World) -> None:
    cut = b"".join(world.minutes.line(text) for text in world.minutes.lines[:5])
    result = verifier.check(world.v2() | {"index.json": world.index, "000001.jsonl": cut}, world.person())
    assert result["verdict"] == 4
    assert "lists a longer version of minutes/000001.jsonl" in statuses(result, "unsure")[0]


def test_a_stamp_may_be_completed_after_the_index(verifier: Verifier, world: World) -> None:
    index = index_of(world.keys, [world.one], minutes={"000001.ots": b"x", "000001.jsonl": world.minutes.file()})
    files = world.v2() | {"index.json": index, "000001.jsonl": world.minutes.file(), "000001.ots": world.ots}
    assert proven(verifier.check(files, world.person() | {"blocks": world.block.hex()}))


def test_a_renamed_file_is_still_found_in_the_index(verifier: Verifier, world: World) -> None:
    files = {"XBt (1).porl2": world.one.porl2, "index.json": world.index}
    assert proven(verifier.check(files, world.person()))
    other = index_of(world.keys, [world.one], change=lambda i: i["snapshots"][0]["files"]["XBt.porl2"].update(bytes=9))
    result = verifier.check(files | {"index.json": other}, world.person())
    assert result["verdict"] == 2


def test_an_opened_minute_that_the_index_does_not_list(verifier: Verifier, world: World) -> None:
    minute = world.one.after(number=1, reserves=b"", with_v1=False, timestamp="2026-10-08T00:00:00.000Z")
    files = {"XBt.porl2": minute.porl2, "index.json": world.index}
    result = verifier.check(files, world.person(of=minute))
    assert result["verdict"] == 4
    assert "does not list this file" in statuses(result, "unsure")[0]


def test_minutes_in_two_files_are_one_chain(verifier: Verifier, world: World) -> None:
    link = minute_link(world.minutes.lines[-1]).hex()
    rest = Minutes(world.keys, first=12, previous=link).build()
    files = world.v2() | {"000002.jsonl": rest.file(), "000001.jsonl": world.minutes.file()}
    result = verifier.check(files, world.person())
    assert proven(result)
    assert "Minutes 12 to 23 follow" in " ".join(statuses(result, "ok"))
    torn = Minutes(world.keys, first=12, previous=sha(b"else").hex()).build()
    result = verifier.check(files | {"000002.jsonl": torn.file()}, world.person())
    assert result["verdict"] == 2
    assert "minutes.chain: Line 1" in statuses(result, "forged")[0]


# Not mine, another sum, missing pieces -----------------------------------------------------------------------------


NOT_MINE: dict[str, dict[str, str]] = {
    "a wrong key": {"key": "11" * 32},
    "another login": {"login": "user4@example.com"},
    "another account": {"account": "4"},
    "a wrong key and nothing said": {"key": "11" * 32, "expect": ""},
    "one unit more expected": {"expect": "150000001"},
    "one unit less expected": {"expect": "149999999"},
    "nothing expected and something found": {"expect": "0"},
}


@pytest.mark.parametrize("name", NOT_MINE)
@pytest.mark.parametrize("form", ["v2", "v1"])
def test_not_mine_or_another_sum_is_3(verifier: Verifier, world: World, form: str, name: str) -> None:
    files = world.v2() if form == "v2" else world.v1()
    result = verifier.check(files, world.person() | NOT_MINE[name])
    assert result["verdict"] == 3
    assert not result["proven"].startswith("Proven")


@pytest.mark.parametrize("form", ["v2", "v1"])
def test_nothing_found_is_a_success_only_when_nothing_was_expected(
    verifier: Verifier, world: World, form: str
) -> None:
    files = world.v2() if form == "v2" else world.v1()
    assert world.one.balance(6) == 0
    assert proven(verifier.check(files, world.person(6)))
    for expect in ("", "1", "x", "-0", "0.5"):
        assert verifier.check(files, world.person(6) | {"expect": expect})["verdict"] in (3, 4), expect


MISSING: dict[str, tuple[Callable[[World], Files], dict[str, str], str]] = {
    "no venue": (World.v2, {"venue": ""}, "Whose files these are is not checked"),
    "no login": (World.v2, {"login": ""}, "Nobody was looked for"),
    "no account": (World.v2, {"account": ""}, "Nobody was looked for"),
    "no key": (World.v2, {"key": ""}, "Nobody was looked for"),
    "no expectation": (World.v2, {"expect": ""}, "Type what your own statement says"),
    "an expectation with a comma": (World.v2, {"expect": "1,5"}, "is no exact number"),
    "finer than a unit": (World.v2, {"expect": "1.500000001", "unit": "coins"}, "is no exact number"),
    "a part of a unit": (World.v2, {"expect": "150000000.5"}, "is no exact number"),
    "W1b: a key with zeros after it": (World.v2, {"key": "22" * 32 + "00"}, "exactly 64"),
    "W1b: a key that is too short": (World.v2, {"key": "22" * 31}, "exactly 64"),
    "an account that is no number": (World.v2, {"account": "3a"}, "is no account number"),
    "a v1 nonce for a v2 file": (World.v2, {"kind": "v1"}, "Nobody was looked for"),
    "a v2 key for a v1 file": (World.v1, {"kind": "v2"}, "Nobody was looked for"),
    "v1 alone": (lambda w: {CSV: w.one.v1}, {}, "No header was given"),
    "v1 without a signature": (lambda w: {**w.v1(), "index.json": None}, {}, "Nobody's signature"),
    "v1 without a sidecar": (lambda w: {**w.v1(), BIND: None}, {}, "not checked to be bound to you"),
    "v1 with no login": (World.v1, {"login": ""}, "not checked to be bound to you"),
    "a header alone": (lambda w: {"XBt.header": w.one.header}, {}, "no balance was looked for"),
    "an index older than the file": (
        lambda w: {"XBt.porl2": w.two.porl2, "index.json": index_of(w.keys, [w.one])}, {}, "is it older than the file",
    ),
    "headers between are missing": (
        lambda w: {"XBt.porl2": w.two.after(number=4, previous="ab" * 32).porl2, "a.header": w.one.header}, {},
        "is not checked: headers between",
    ),
    "two assets, neither of them mine": (
        lambda w: {**w.v2(), "USDt.porl2": Snapshot(w.keys, asset="USDt").build().porl2}, {"key": "11" * 32},
        "one asset at a time",
    ),
    "minutes and no publisher": (lambda w: {"1.jsonl": w.minutes.file()}, {}, "Signatures are not checked"),
    "a stamp and no block": (
        lambda w: {**w.v2(), "1.jsonl": w.minutes.file(), "1.ots": w.ots}, {}, "paste the header of the Bitcoin block",
    ),
    "a stamp of something else": (lambda w: {**w.v2(), "1.ots": w.ots}, {}, "none of the lines or files"),
    "a stamp that is in no block": (
        lambda w: {**w.v2(), "1.jsonl": w.minutes.file(), "1.ots": stamp(minute_link(w.minutes.lines[-1]), pending=True)[0]},
        {}, "not in a block yet",
    ),
    "a block that is too short": (World.v2, {"blocks": "00" * 79}, "is no block header"),
    "a file of another kind": (lambda w: {**w.v2(), "holiday.txt": b"sun"}, {}, "does not know such a file"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_missing_pieces_are_4(verifier: Verifier, world: World, name: str) -> None:
    files, form, sentence = MISSING[name]
    given = {key: data for key, data in files(world).items() if data is not None}
    result = verifier.check(given, world.person() | form)
    assert result["verdict"] == 4, result["proven"]
    assert sentence in " ".join(statuses(result, "unsure")), statuses(result, "unsure")


def test_a_browser_without_signatures_says_so(browser: Any, world: World) -> None:
    """WebCrypto is missing where a page came over plain HTTP."""
    page = browser.new_page()
    page.route("http://venue.test/", lambda route: route.fulfill(path=seal.PAGE, content_type="text/html"))
    page.goto("http://venue.test/")
    able = Verifier.__new__(Verifier)
    able.page = page
    result = able.check(world.v2(), world.person())
    page.close()
    assert result["verdict"] == 4
    assert "not checked: this browser cannot" in statuses(result, "unsure")[0]


# Weaknesses of the old format --------------------------------------------------------------------------------------


def test_w1_two_customers_with_the_same_leaves(verifier: Verifier, world: World) -> None:
    """The second has the first one's nonce; the sidecar binds the leaves to the first."""
    book = book_of(40)
    book[4] = (book[4][0], book[3][1])
    cheat = Snapshot(world.keys, book=book).build()
    files = {CSV: cheat.v1, BIND: cheat.bind, "XBt.header": cheat.header, "index.json": index_of(world.keys, [cheat])}
    first = world.person(3, "v1", of=cheat)
    assert proven(verifier.check(files, first))
    second = first | {"account": "4", "login": book[4][0]}
    result = verifier.check(files, second)
    assert result["verdict"] == 3
    lines = [len(cheat.placed) + 1 + place for place in cheat.places(3)[:3]]
    assert f"Line {', '.join(map(str, lines))}: opens with your key, but" in statuses(result, "differs")[0]


def test_w3_a_customer_who_was_left_out(verifier: Verifier, world: World) -> None:
    book = {account: row for account, row in book_of(40).items() if account != 3}
    left_out = Snapshot(world.keys, book=book).build()
    files = {CSV: left_out.v1, BIND: left_out.bind, "XBt.porl2": left_out.porl2}
    result = verifier.check(files, world.person())
    assert result["verdict"] == 3
    assert "Nothing of yours is in it" in statuses(result, "differs")[0]


# Forged files ------------------------------------------------------------------------------------------------------

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
_v1_line("a leaf's digest", 300, _flip, "v1.digests: Digests that are not their children's: line 150 (from lines 299 and 300)")
_v1_line("a leaf's value", 300, _value(lambda v: str(v + 1)), "v1.sums: Values that are not their children's sum: line 150 (from lines 299 and 300)")
_v1_line("a node's digest", 150, _flip, "line 150 (from lines 299 and 300)")
_v1_line("a node's value", 150, _value(lambda v: str(v + 1)), "line 150 (from lines 299 and 300)")
_v1_line("the root's digest", 2, _flip, "line 2 (from lines 3 and 4)")
_v1_line("the root's value", 2, _value(lambda v: str(v - 1)), "v1.sums: Values that are not their children's sum: line 2")
_v1_line("W6: a negative value", 300, _value(lambda v: str(-v - 1)), "Line 300: the value -")
_v1_line("a plus sign", 300, _value(lambda v: f"+{v}"), "has a sign")
_v1_line("a space before a value", 300, _value(lambda v: f" {v}"), "Line 300: the value")
_v1_line("a space after a value", 300, _value(lambda v: f"{v} "), "Line 300: the value")
_v1_line("a leading zero", 300, _value(lambda v: f"0{v}" if v else "00"), "Line 300: the value 0")
_v1_line("a point", 300, _value(lambda v: f"{v}.0"), "Line 300: the value")
_v1_line("no value", 300, lambda line: line[:65], "Line 300: the value")
_v1_line("a value of 2^64", 300, _value(lambda _: str(2**64)), "Line 300: the value 18446744073709551616 is not below 2^64")
_v1_line("a value of 2^64 + 5", 300, _value(lambda _: str(2**64 + 5)), "is not below 2^64")
_v1_line("a value of 30 digits", 300, _value(lambda _: "9" * 30), "Line 300: the value")
_v1_line("a digest in capitals", 300, lambda line: b"A" + line[1:], "Line 300: it does not begin with 64")
_v1_line("a digest of 63 digits", 300, lambda line: line[1:], "Line 300: it does not begin with 64")
_v1_line("no comma", 300, lambda line: line.replace(b",", b";"), "Line 300: after 64 digits there is no comma")
_v1_line("an empty line", 300, lambda _: b"", "Line 300: it is empty")
_v1_line("a carriage return", 300, lambda line: line + b"\r", "Line 300: the value")
_v1_line("a line twice", 300, lambda line: line + b"\n" + line, "Line 513: the file ends within a row: row 9 has 1 of 512 nodes")
_v1_line("a first line without a height", 1, lambda _: b"block_height:", "Line 1:")
_v1_line("a height with a sign", 1, lambda _: b"block_height:-5", "Line 1:")
_v1_line("a first line of another kind", 1, lambda _: b"account,amount", "Line 1:")


@forged("v1: two leaves change places")
def _(w: World) -> Forged:
    lines = w.one.v1.split(b"\n")
    lines[299], lines[399] = lines[399], lines[299]
    return {CSV: b"\n".join(lines)}, {}, "line 150 (from lines 299 and 300), line 200 (from lines 399 and 400)"


@forged("v1: W2, cut within the last row")
def _(w: World) -> Forged:
    return {CSV: b"\n".join(w.one.v1.split(b"\n")[:400])}, {}, "Line 400: the file ends within a row: row 8 has 144 of 256"


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
    return w.v1() | {CSV: w.one.v1.replace(b"900000", b"900001", 1)}, {}, "v1.height: Line 1: the height is 900001"


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
            sha(digests[k], u64(values[k]), digests[k + 1], u64(values[k + 1])) for k in range(0, len(values), 2)
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
    return {CSV: w.one.v1, "XBt.porl2": bare.porl2}, {}, "v1.header: XBt.porl2 says that there is no such file"


@forged("v1: other leaves than in the porl2 file, both signed")
def _(w: World) -> Forged:
    cheat = copy.copy(w.one)
    first, second = w.one.places(5)[:2]
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
    return w.v1() | {BIND: w.one.bind[:-1]}, {}, "bind.length: Byte 8191: it has 8191 bytes; 256 leaves need 8192"


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


_porl2("a leaf's digest", lambda w, d, at: _xor(d, at + 40 * 77), "porl2.signature: The publisher's signature")
_porl2("a leaf's value", lambda w, d, at: _xor(d, at + 40 * 77 + 32), "porl2.total: The leaves add up to")
_porl2("the highest byte of a value", lambda w, d, at: _xor(d, at + 40 * 77 + 39), "porl2.total: The leaves add up to")
_porl2("two leaves change places", lambda w, d, at: d[:at] + d[at + 40 : at + 80] + d[at : at + 40] + d[at + 80 :], "porl2.signature:")
_porl2("a byte of the header", lambda w, d, at: bytes(d).replace(b"62000.5", b"62000.6"), "porl2.signature:")
_porl2("the publisher", lambda w, d, at: _xor(d, len(d) - 160), "porl2.signature:")
_porl2("the endorsement", lambda w, d, at: _xor(d, len(d) - 128), "porl2.endorsement: The venue's endorsement")
_porl2("the signature", lambda w, d, at: _xor(d, len(d) - 1), "porl2.signature:")
_porl2("cut in its signature", lambda w, d, at: d[:-1], "the file ends here, 1 bytes too early")
_porl2("cut in its leaves", lambda w, d, at: d[: at + 40 * 100 + 3], "too early (leaf 100 of 256)")
_porl2("cut in its header", lambda w, d, at: d[:300], "Byte 8: the header should have")
_porl2("cut at the start", lambda w, d, at: d[:10], "Byte 10: the file ends within its first 12 bytes")
_porl2("a byte too many", lambda w, d, at: d + b"\0", "should end here, but 1 bytes follow")
_porl2("a leaf too many", lambda w, d, at: d[:at] + bytes(40) + d[at:], "should end here, but 40 bytes follow")
_porl2("another magic", lambda w, d, at: b"porl3" + d[5:], "Byte 0: the file does not begin with porl2")
_porl2("a version in the magic", lambda w, d, at: _xor(d, 7), "Byte 0: the file does not begin with porl2")
_porl2("a header longer than the file", lambda w, d, at: d[:8] + b"\xff\xff\xff\xff" + d[12:], "Byte 8: the header should have")
_porl2("a header shorter than itself", lambda w, d, at: d[:8] + struct.pack("<I", at - 13) + d[12:], "header.shape:")
_porl2("another publisher signs", lambda w, d, at: w.one.sealed(w.one.header, keys=w.others), "porl2.endorsement:")


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
_figures("a smaller total, and sums to it", lambda f: (f.update(total=_more(f["total"], 1)), _shift(f, "wallets", "netDeposits")), "porl2.total: The leaves add up to")
_figures("wallets", lambda f: _shift(f, "wallets"), "header.total:")
_figures("net deposits", lambda f: _shift(f, "netDeposits"), "header.deposits:")
_figures("deposits in flight", lambda f: _shift(f, "inFlight"), "header.total:")
_figures("a negative sum below zero", lambda f: f["sums"].update(negative="-5"), '"negative" is not what it must be')
_figures("a total that is a number", lambda f: f.update(total=int(f["total"])), '"total" is not what it must be')
_figures("a total with a leading zero", lambda f: f.update(total="0" + f["total"]), '"total" is not what it must be')
_figures("an unknown format", lambda f: f.update(format="porl3"), 'the format "porl3" is not known')
_figures("a key too many", lambda f: f.update(zebra=1), '"zebra" does not belong there')
_figures("a key too few", lambda f: f.pop("previous"), '"previous" is missing')
_figures("a digest in capitals", lambda f: f.update(reserves="AB" * 32), '"reserves" is not what it must be')
_figures("leaves that are no power of two", lambda f: f.update(leaves=255), '"leaves" is 255, which is no power of two')
_figures("half the leaves", lambda f: f.update(leaves=128), "should end here, but 5120 bytes follow")
_figures("no leaves", lambda f: f.update(leaves=0), '"leaves" is 0, which is no power of two')
_figures("the first snapshot has one before it", lambda f: f.update(previous="ab" * 32), "header.first:")
_figures("a house row's balance", lambda f: f["house"][0].update(balance="1"), "but its balance is 1")
_figures("a house row's key", lambda f: f["house"][0].update(key="ab" * 32), "is not its own")
_figures("a house leaf that is not theirs", lambda f: f["house"][0]["leaves"].__setitem__(0, f["house"][1]["leaves"][0] ^ 1), "is not its own")
_figures("a house leaf beyond the end", lambda f: f["house"][0]["leaves"].append(256), '"house" names leaf 256; there are 256')
_figures("a house leaf twice", lambda f: f["house"][0]["leaves"].append(f["house"][0]["leaves"][0]), '"house" names a leaf twice')
_figures("a house leaf that two rows name", lambda f: f["house"][0]["leaves"].append(f["house"][1]["leaves"][0]), '"house" names a leaf twice')
_figures("a house row with a key too many", lambda f: f["house"][0].update(more=1), '"more" does not belong there')
_figures("a house leaf that is no number", lambda f: f["house"][0].update(leaves=["1"]), '"leaves" is not what it must be')


def _header(name: str, change: Callable[[World], bytes], sentence: str) -> None:
    """A header whose bytes the publisher itself has signed."""

    def make(w: World) -> Forged:
        return {"XBt.porl2": w.one.sealed(change(w))}, {}, sentence

    FORGED[f"signed header: {name}"] = make


def _cut(w: World, **changes: Any) -> bytes:
    return dumps(json.loads(w.one.cut) | changes) + b"\n" + dumps(w.one.figures)


_header("a key twice", lambda w: w.one.header.replace(b'"leaves":256', b'"leaves":256,"leaves":256'), 'the key "leaves" is there twice')
_header("a key twice in the cut", lambda w: w.one.header.replace(b'"scale":8', b'"scale":8,"scale":8'), 'the key "scale" is there twice')
_header("a key twice in a house row", lambda w: w.one.header.replace(b'"account":7', b'"account":7,"account":7'), 'the key "account" is there twice')
_header("keys that are not sorted", lambda w: w.one.header.replace(b'"format":"porl2",', b"").replace(b'"v1":{', b'"format":"porl2","v1":{'), "is not written with sorted keys")
_header("a space", lambda w: w.one.header.replace(b'"leaves":256', b'"leaves": 256'), "is not written with sorted keys and without spaces")
_header("a number with a point", lambda w: w.one.header.replace(b'"leaves":256', b'"leaves":256.0'), "this is no whole number")
_header("a number with an exponent", lambda w: w.one.header.replace(b'"scale":8', b'"scale":8e0'), "this is no whole number")
_header("a letter beyond ASCII", lambda w: w.one.header.replace(b'"fees","name"', b'"f\xc3\xa9es","name"'), "has a byte that is not plain ASCII")
_header("a newline at the end", lambda w: w.one.header + b"\n", "has a byte that is not plain ASCII")
_header("no newline", lambda w: w.one.header.replace(b"\n", b""), "has no newline between its two objects")
_header("one object", lambda w: w.one.cut + b"\n", "is no strict JSON")
_header("a number too large", lambda w: w.one.header.replace(b'"sequence":1000', b'"sequence":9007199254740993'), "this is no whole number below 2^53")
_header("another scale", lambda w: _cut(w, scale=2), 'header.scale: "scale" is 2')
_header("a time without a zone", lambda w: _cut(w, timestamp="2026-10-07T12:00:00"), '"timestamp" is not what it must be')
_header("a mark that is a number", lambda w: _cut(w, marks={"XBTUSD": 62000}), '"marks" is not what it must be')
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
    return {"1.porl2": minute.porl2, "1.header": w.one.header}, {}, 'chain.minute: "previous" of the opened minute'


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


_index("another text", lambda w: _outer(w, index=json.loads(w.index)["index"].replace("302400", "302401")), "index.signature: The publisher's signature over the index is wrong")
_index("the signature", lambda w: _outer(w, signature="00" * 64), "index.signature:")
_index("the endorsement", lambda w: _outer(w, endorsement="00" * 64), "index.endorsement:")
_index("of another venue", lambda w: index_of(w.others, [w.one, w.two]), "index.endorsement:")
_index("names another venue", _told(lambda i: i.update(venue="ab" * 32)), "index.venue:")
_index("another size", _told(lambda i: i["snapshots"][0]["files"]["XBt.porl2"].update(bytes=5)), "The index lists 5 bytes")
_index("another hash", _told(lambda i: i["snapshots"][0]["files"]["XBt.porl2"].update(sha256="ab" * 32)), "index.file: The index lists")
_index("another header", _told(lambda i: _listed(i).update(header="ab" * 32)), 'as "header" of XBt, snapshot 1')
_index("another total", _told(lambda i: _listed(i).update(total="5")), 'as "total" of XBt, snapshot 1')
_index("another root", _told(lambda i: _listed(i).update(snapshotRoot="ab" * 32)), 'as "snapshotRoot" of XBt')
_index("less below zero", _told(lambda i: _listed(i).update(negative="0")), 'as "negative" of XBt')
_index("less for demonstration", _told(lambda i: _listed(i).update(demo="0")), 'as "demo" of XBt')
_index("the newest first", _told(lambda i: i["snapshots"].reverse()), "index.shape: The index lists snapshot 1 after 2")
_index("a snapshot twice", _told(lambda i: i["snapshots"].append(i["snapshots"][-1])), "index.shape: The index lists snapshot 2 after 2")
_index("a key twice", lambda w: w.index.replace(b'"publisher"', b'"publisher": "", "publisher"'), 'the key "publisher" is there twice')
_index("a key twice in its text", lambda w: index_signed(w.keys, json.loads(w.index)["index"].replace('"period":302400', '"period":1,"period":302400')), 'the key "period" is there twice')
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
    return lambda w: b"".join([w.minutes.line(t) for t in w.minutes.lines[:-1]]) + w.minutes.line(text(w.minutes.lines[-1]))


_minutes("a changed total", _lines(lambda lines: lines.__setitem__(-1, lines[-1].replace(b"123456789", b"123456788"))), "minutes.signatures: Line 12: the publisher's signature is wrong")
_minutes("a changed total in the middle", _lines(lambda lines: lines.__setitem__(5, lines[5].replace(b"123456789", b"123456788"))), 'minutes.chain: Line 7: "previous" is not the digest of minute 5')
_minutes("signed by somebody else", lambda w: Minutes(w.others, snapshot=w.one).build().file(), "minutes.signatures: Line 1:")
_minutes("a line is missing", _lines(lambda lines: lines.pop(5)), "minutes.chain: Line 6: minute 6 comes after 4")
_minutes("two lines change places", _lines(lambda lines: lines.insert(4, lines.pop(5))), "minutes.chain: Line 5: minute 5 comes after 3")
_minutes("a line twice", _lines(lambda lines: lines.insert(5, lines[5])), "minutes.chain: Line 7: minute 5 comes after 5")
_minutes("a number is left out", _changed(6, n=7), "minutes.chain: Line 7: minute 7 comes after 5")
_minutes("a link to somewhere else", _changed(6, previous="ab" * 32), 'minutes.chain: Line 7: "previous" is not')
_minutes("a first one with one before it", _changed(0, previous="ab" * 32), 'minutes.chain: Line 1: "previous" of the first')
_minutes("back in time", _changed(6, timestamp="2026-10-07T11:00:00.000Z"), "minutes.chain: Line 7: its timestamp")
_minutes("the same time", _changed(6, timestamp="2026-10-07T12:05:00.000Z"), "minutes.chain: Line 7: its timestamp")
_minutes("back in sequence", _changed(6, sequence=3), "minutes.chain: Line 7: its sequence 3 is below")
_minutes("another reason", _changed(6, because="mood"), 'Line 7: "because" is not what it must be')
_minutes("a total below zero", _changed(6, totals={"XBt": ["-5", "0", None]}), 'Line 7: "totals" is not what it must be')
_minutes("another total than the header's", _changed(0, totals={"XBt": ["1", "0", None]}), "minutes.cut: Line 1 of 000001.jsonl: minute 0 says another")
_minutes("another state than the header's", _changed(0, stateRoot="ab" * 32), "minutes.cut: Line 1 of 000001.jsonl")
_minutes("a key twice", _resigned(lambda text: text.replace(b'"n":11', b'"n":11,"n":11')), 'Line 12: character 204: the key "n" is there twice')
_minutes("a space", _resigned(lambda text: text.replace(b'"n":11', b'"n": 11')), "Line 12: the minute is not written with sorted keys")
_minutes("a key too many", _resigned(lambda text: text[:-1] + b',"z":1}'), 'Line 12: "z" does not belong there')
_minutes("an empty line", _lines(lambda lines: lines.insert(5, b"\n")), "Line 6: character 1:")
_minutes("cut within a line", lambda w: w.minutes.file()[:-9], "Line 12:")
_minutes("not UTF-8", lambda w: w.minutes.file() + b"\xff\n", "The file is not UTF-8 text")


def _ots(name: str, change: Callable[[World], bytes], sentence: str, block: Callable[[World], bytes] = lambda w: w.block) -> None:
    def make(w: World) -> Forged:
        files = w.v2() | {"000001.jsonl": w.minutes.file(), "000001.ots": change(w)}
        return files, {"blocks": block(w).hex()}, sentence

    FORGED[f"time stamp: {name}"] = make


_ots("another digest", lambda w: _xor(bytearray(w.ots), 40), "ots.block: The time stamp ends in the Merkle root")
_ots("another branch", lambda w: w.ots.replace(sha(b"salt")[:16], bytes(16)), "ots.block: The time stamp ends in the Merkle root")
_ots("another digest in the path", lambda w: w.ots.replace(sha(b"\1"), bytes(32)), "ots.block: The time stamp ends in")
_ots("another block", lambda w: w.ots, "ots.block: The time stamp ends in", lambda w: block_header(sha(b"other")))
_ots("a block without work", lambda w: w.ots, "which is not below the target", lambda w: w.block[:72] + b"\xff\xff\x00\x1d" + w.block[76:])
_ots("a block of no difficulty at all", lambda w: w.ots, "which is not below the target", lambda w: w.block[:72] + b"\xff\xff\x7f\xff" + w.block[76:])
_ots("cut", lambda w: w.ots[:-1], "ots.shape: Byte")
_ots("bytes after the end", lambda w: w.ots + b"\1", "1 bytes follow the end")
_ots("zeros after the end", lambda w: w.ots + bytes(40), "this is no OpenTimestamps file")
_ots("another magic", lambda w: _xor(bytearray(w.ots), 3), "Byte 0: this is no OpenTimestamps file")
_ots("another version", lambda w: w.ots[:31] + b"\2" + w.ots[32:], "this version of OpenTimestamps is not known")
_ots("another hash function", lambda w: w.ots[:32] + b"\2" + w.ots[33:], "is not over a SHA-256 digest")
_ots("an unknown operation", lambda w: w.ots[:65] + b"\x55" + w.ots[66:], "the operation 0x55 is not known")
_ots("nested too deep", lambda w: w.ots[:65] + b"\x08" * 300, "nested too deep")
_ots("an endless number", lambda w: w.ots[:65] + b"\xf0" + b"\xff" * 20, "a number is too long")
_ots("a piece that is too long", lambda w: w.ots[:65] + b"\xf0\xff\x7f" + bytes(9000), "a piece of 16383 bytes is not allowed")


@pytest.mark.parametrize("name", FORGED)
def test_forged_files_are_refused_by_name(verifier: Verifier, world: World, name: str) -> None:
    files, form, sentence = FORGED[name](world)
    result = verifier.check(files, world.person() | form)
    assert result["verdict"] == 2, result["proven"]
    assert result["proven"].startswith("Refused: ")
    assert sentence in "\n".join(statuses(result, "forged")), statuses(result, "forged")


def test_there_are_enough_forged_files() -> None:
    assert len(FORGED) >= 140


def test_our_own_tree_is_the_reference(world: World) -> None:
    """The v1 tree of the writer is rebuilt by hand, so that a fault in it would not hide one in the page."""
    digests, values = [sha(bytes([k])) for k in range(4)], [1, 2, 3, 4]
    left = sha(digests[0], u64(1), digests[1], u64(2))
    right = sha(digests[2], u64(3), digests[3], u64(4))
    assert tree_v1(digests, values)[-1] == ([sha(left, u64(3), right, u64(7))], [10])


# The page itself ---------------------------------------------------------------------------------------------------


def test_the_page_is_small_and_its_policy_has_its_hashes() -> None:
    """If this fails: python src/ringfence/assurance/proofs/seal.py"""
    text = seal.PAGE.read_text()
    assert seal.sealed(text) == text
    assert len(text.encode()) <= 150_000
    policy = text.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe" not in policy
    assert text.index("You need not run our code") < text.index("Choose files")
    for word in ("fetch(", "XMLHttpRequest", "WebSocket", "sendBeacon", "import(", "innerHTML", "eval(", "localStorage"):
        assert word not in text, word


def test_the_page_asks_for_nothing_but_itself(browser: Any, world: World, tmp_path: Path) -> None:
    """Neither from a disk nor when it is served; and what it is handed in its address leaves the address."""
    (tmp_path / "verifier.html").write_bytes(seal.PAGE.read_bytes())
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for address in (seal.PAGE.as_uri(), f"http://127.0.0.1:{server.server_port}/verifier.html"):
            page = browser.new_page()
            requests: list[str] = []
            page.on("request", lambda request, requests=requests: requests.append(request.url))
            form = world.person() | {"expect": "1.5", "unit": "coins"}
            del form["blocks"]
            page.goto(f"{address}#{'&'.join(f'{k}={v}' for k, v in form.items())}")
            assert page.url == address
            assert {k: page.input_value(f"#{k}") for k in form if k != "kind"} == {
                k: v for k, v in form.items() if k != "kind"
            }
            page.set_input_files(
                "#pick", [{"name": n, "mimeType": "", "buffer": d} for n, d in world.v2().items()]
            )
            page.click("#go")
            page.wait_for_selector("#result:not([hidden])")
            assert page.inner_text("#meaning") == "Proven"
            with page.expect_download() as download:
                page.click("#save")
            saved = json.loads(Path(download.value.path()).read_text())
            page.close()
            assert saved["verdict"] == 0
            assert saved["found"] == {
                "asset": "XBt", "units": "150000000", "leaves": 5, "file": "XBt.porl2", "expected": "150000000",
            }  # fmt: skip
            assert saved["files"][0]["sha256"] == sha(world.one.porl2).hex()
            assert world.one.nonce(3).hex() not in json.dumps(saved)
            # What the browser makes up from the page itself is no request: no server hears of it.
            assert [url.split("#")[0] for url in requests if not url.startswith(("blob:", "data:"))] == [address]
    finally:
        server.shutdown()
        server.server_close()
    assert asked == ["/verifier.html"]


def test_the_policy_stops_what_would_leave(browser: Any) -> None:
    page = browser.new_page()
    page.goto(seal.PAGE.as_uri())
    assert page.evaluate("() => fetch('http://127.0.0.1:9/').then(() => 'went', () => 'stopped')") == "stopped"
    blocked = """() => new Promise((done) => {
        addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective));
        const image = new Image();
        image.src = "http://127.0.0.1:9/x.png";
    })"""
    assert page.evaluate(blocked) == "img-src"
    page.close()


def test_keys_alone_are_enough(browser: Any, world: World) -> None:
    """Everything is reached with the keyboard, and help opens and closes with it."""
    page = browser.new_page()
    page.goto(seal.PAGE.as_uri())
    page.focus("#help")
    page.keyboard.press("Enter")
    assert page.is_visible("#help-text")
    assert page.inner_text("#help-text p").startswith("You need not run our code")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help-text")
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.id || document.activeElement.name"))
    wanted = ["choose", "venue", "account", "login", "kind", "key", "expect", "unit", "go"]
    assert [name for name in reached if name in wanted][: len(wanted)] == wanted
    unlabelled = """() => [...document.querySelectorAll("input, select, textarea, button, progress")]
        .filter((e) => e.id !== "pick" && !(e.labels && e.labels.length) && !e.getAttribute("aria-label")
            && !e.textContent.trim()).map((e) => e.outerHTML)"""
    assert page.evaluate(unlabelled) == []
    assert page.get_attribute("#doing", "aria-live") == "polite"
    assert page.get_attribute("#result", "aria-live") == "polite"
    page.close()


def test_a_forged_name_is_never_markup(verifier: Verifier, world: World) -> None:
    name = "<img src=x onerror=alert(1)>.txt"
    verifier.check(world.v2() | {name: b"<b>"}, world.person())
    assert verifier.page.locator("#result img").count() == 0
    assert name in verifier.page.inner_text("#checks")


def test_a_failure_of_the_program_is_1(browser: Any, world: World) -> None:
    page = browser.new_page()
    broken = Verifier(page)
    page.evaluate("""() => { byId("engine").textContent = byId("engine").textContent
        .replace("async function checkPorl2(file) {", "async function checkPorl2(file) { null.x;"); }""")
    result = broken.check(world.v2(), world.person())
    page.close()
    assert result["verdict"] == 1
    assert result["proven"].startswith("The program failed: ")


def test_pictures(browser: Any, world: World, tmp_path: Path) -> None:
    """Light, dark and on a phone, for whoever changes the page to look at; nothing may be wider than the phone."""
    for name, scheme, width, files in (
        ("light", "light", 1100, world.v2()),
        ("dark", "dark", 1100, {"XBt.porl2": world.one.porl2[:-1]}),
        ("phone", "light", 390, world.v1() | {BIND: world.one.bind}),
        ("phone-dark", "dark", 390, {CSV: world.one.v1}),
    ):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        Verifier(page).check(files, world.person() | {"expect": "1.5", "unit": "coins"})
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        page.close()
    assert all((tmp_path / f"{name}.png").stat().st_size > 10_000 for name in ("light", "dark", "phone"))
