"""The offline page in Chromium: good files prove the right balance, and every forged one is refused by name."""

import copy
import json
import random
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ringfence.assurance.proofs import seal
from tests.browser.chromium import Verifier
from tests.browser.forgeries import BIND, CSV, FORGED, World
from tests.browser.porl_files import (
    Minutes,
    Snapshot,
    book_of,
    index_of,
    minute_link,
    sha,
    tree_v1,
    u64,
)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


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


def test_a_signature_covers_every_header_that_it_leads_back_to(verifier: Verifier, world: World) -> None:
    three = world.two.after(timestamp="2026-10-14T12:00:00.000Z")
    files = {"XBt.porl2": three.porl2, "2.header": world.two.header, "1.header": world.one.header}
    assert proven(verifier.check(files, world.person(of=three)))
    result = verifier.check(
        files | {"1.header": world.one.header.replace(b"62000.5", b"62000.6")}, world.person(of=three)
    )
    assert result["verdict"] == 2
    assert "chain.previous" in statuses(result, "forged")[0]


def test_random_damage_is_never_green(verifier: Verifier, world: World) -> None:
    """Bits, bytes cut out, put in or exchanged, at random in any file of a folder that is right as a whole."""
    rng = random.Random(7)
    files = world.one.files() | {"000001.jsonl": world.minutes.file(), "later.header": world.two.header}
    files["index.json"] = world.index
    assert proven(verifier.check(files, world.person()))
    for _ in range(40):
        name = rng.choice(list(files))
        data = bytearray(files[name])
        at, count = rng.randrange(len(data)), rng.randint(1, 40)
        kind = rng.choice(["bit", "out", "in", "cut"])
        if kind == "bit":
            data[at] ^= 1 << rng.randrange(8)
        elif kind == "cut":
            del data[at:]
        else:
            data[at : at + count * (kind == "out")] = rng.randbytes(count * (kind == "in"))
        rest = rng.choice([files, {"XBt.porl2": files["XBt.porl2"]}])
        result = verifier.check(rest | {name: bytes(data)}, world.person())
        assert result["verdict"] in (2, 4), (name, kind, at, result["proven"])


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


def test_a_shorter_chain_of_minutes_than_the_index_lists_is_no_forgery(
    verifier: Verifier, world: World
) -> None:
    cut = b"".join(world.minutes.line(text) for text in world.minutes.lines[:5])
    result = verifier.check(world.v2() | {"index.json": world.index, "000001.jsonl": cut}, world.person())
    assert result["verdict"] == 4
    assert "lists a longer version of minutes/000001.jsonl" in statuses(result, "unsure")[0]


def test_a_stamp_may_be_completed_after_the_index(verifier: Verifier, world: World) -> None:
    index = index_of(
        world.keys, [world.one], minutes={"000001.ots": b"x", "000001.jsonl": world.minutes.file()}
    )
    files = world.v2() | {"index.json": index, "000001.jsonl": world.minutes.file(), "000001.ots": world.ots}
    assert proven(verifier.check(files, world.person() | {"blocks": world.block.hex()}))


def test_a_renamed_file_is_still_found_in_the_index(verifier: Verifier, world: World) -> None:
    files = {"XBt (1).porl2": world.one.porl2, "index.json": world.index}
    assert proven(verifier.check(files, world.person()))
    other = index_of(
        world.keys, [world.one], change=lambda i: i["snapshots"][0]["files"]["XBt.porl2"].update(bytes=9)
    )
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


def test_a_mistyped_login_is_no_forgery_even_without_a_sidecar(verifier: Verifier, world: World) -> None:
    """The v1 leaves open with account and nonce alone, those of porl2 do not."""
    files = world.v2() | {CSV: world.one.v1}
    result = verifier.check(files, world.person() | {"login": "user3@example.org"})
    assert result["verdict"] == 3
    assert "Look whether account and login are typed" in " ".join(statuses(result, "differs"))


def test_of_two_assets_the_one_that_the_key_opens_counts(verifier: Verifier, world: World) -> None:
    other = Snapshot(world.keys, asset="USDt", seed=9).build()
    result = verifier.check(world.v2() | {"USDt.porl2": other.porl2}, world.person(of=other))
    assert proven(result)
    assert result["found"]["asset"] == "USDt"


MISSING: dict[str, tuple[Callable[[World], dict[str, bytes]], dict[str, str], str]] = {
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
    "nothing expected, by a nonce of nobody": (
        World.v1, {"kind": "v1", "key": "11" * 32, "account": "", "login": "", "expect": "0"}, "as well: they tell",
    ),
    "v1 with no login": (World.v1, {"login": ""}, "not checked to be bound to you"),
    "a header that nobody signed": (
        lambda w: {**w.v2(), "later.header": w.two.header.replace(b"62000.5", b"62000.6")}, {}, "No signature covers",
    ),
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
        lambda w: {**w.v2(), "1.jsonl": w.minutes.file(), "1.ots": w.pending},
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
    files = {
        CSV: cheat.v1,
        BIND: cheat.bind,
        "XBt.header": cheat.header,
        "index.json": index_of(world.keys, [cheat]),
    }
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


@pytest.mark.parametrize("name", FORGED)
def test_forged_files_are_refused_by_name(verifier: Verifier, world: World, name: str) -> None:
    files, form, sentence = FORGED[name](world)
    result = verifier.check(files, world.person() | form)
    assert result["verdict"] == 2, result["proven"]
    assert result["proven"].startswith("Refused: ")
    assert sentence in "\n".join(statuses(result, "forged")), statuses(result, "forged")


def test_there_are_enough_forged_files() -> None:
    assert len(FORGED) >= 160


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
    for word in (
        "fetch(",
        "XMLHttpRequest",
        "WebSocket",
        "sendBeacon",
        "import(",
        "innerHTML",
        "eval(",
        "localStorage",
    ):
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
            assert [url.split("#")[0] for url in requests if not url.startswith(("blob:", "data:"))] == [
                address
            ]
    finally:
        server.shutdown()
        server.server_close()
    assert asked == ["/verifier.html"]


def test_the_policy_stops_what_would_leave(browser: Any) -> None:
    page = browser.new_page()
    page.goto(seal.PAGE.as_uri())
    assert (
        page.evaluate("() => fetch('http://127.0.0.1:9/').then(() => 'went', () => 'stopped')") == "stopped"
    )
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
    assert page.get_attribute("#verdict", "aria-live") == "polite"
    page.close()


def test_files_can_be_dropped_and_taken_away(browser: Any, world: World) -> None:
    page = browser.new_page()
    page.goto(seal.PAGE.as_uri())
    page.evaluate(
        """(bytes) => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], "XBt.porl2"));
            carried.items.add(new File(["sun"], "holiday.txt"));
            document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true }));
        }""",
        list(world.one.porl2),
    )
    page.click("text=Remove >> nth=1")
    for field, value in world.person().items():
        if field not in ("kind", "unit", "blocks"):
            page.fill(f"#{field}", value)
    page.select_option("#unit", "units")
    page.press("#expect", "Enter")
    page.wait_for_selector("#result:not([hidden])")
    assert page.inner_text("#meaning") == "Proven"
    assert page.evaluate("() => document.activeElement.id") == "verdict"
    assert page.evaluate("() => document.getElementById('verdict').getBoundingClientRect().top") >= 0
    page.close()


def test_without_files_it_says_what_to_do(browser: Any) -> None:
    page = browser.new_page()
    page.goto(seal.PAGE.as_uri())
    page.click("#go")
    assert page.inner_text("#doing") == "Choose the files of a snapshot first."
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
