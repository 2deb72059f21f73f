"""What is said of a folder: success only if nothing is left open, and every way to fail with its number."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ringfence.assurance.proofs.errors import Exit, ForgedError, InconclusiveError
from ringfence.assurance.proofs.reserves import (
    Checked,
    Sources,
    Verdict,
    check_coins,
    check_dump,
    check_ethereum,
    check_listing,
    check_solana,
    read_reserves,
    verify_folder,
    yaml_of,
)
from ringfence.cli import app
from ringfence.custody.chains.bitcoin.utxo_snapshot import write_snapshot
from ringfence.testing.reserves import VENUE, Treasure

TREASURE = Treasure()
MADE = TREASURE.made()


class Node:
    """Both of the other chains, as the list has them."""

    def __init__(self, block: str | None = None, lamports: int = 10**9) -> None:
        self._block, self._lamports = block, lamports

    def block_hash(self, height: int) -> str | None:
        return self._block

    def balance(self, address: str) -> int:
        return self._lamports


GOOD = Node(f"0x{TREASURE.ethereum.block_hash}" if TREASURE.ethereum is not None else None)


def sources(node: Node = GOOD, later: Callable[[int], str | None] | None = None) -> Sources:
    return Sources(
        lambda checked: check_coins(MADE.coins, checked), "the dump", later,
        lambda checked: check_ethereum(node, checked), lambda checked: check_solana(node, checked),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A snapshot's folder as it is published."""
    made = tmp_path / "000007"
    made.mkdir()
    (made / "reserves.json").write_bytes(MADE.reserves)
    (made / "reserves.yaml").write_bytes(yaml_of(read_reserves(MADE.reserves)))
    (made / "control.json").write_bytes(MADE.control)
    header = {"reserves": hashlib.sha256(MADE.reserves).hexdigest()}
    (made / "XBt.header").write_bytes(b"{}\n" + json.dumps(header).encode())
    return made


def verdict(folder: Path, given: Sources | None = None) -> Verdict:
    return verify_folder(folder, sources() if given is None else given, venue=VENUE)


def test_everything_that_can_be_proven_is(folder: Path) -> None:
    found = verdict(folder)
    assert (found.exit, found.open) == (Exit.PROVEN, ())
    assert found.totals["USDt"] == 7_000_001
    assert any("have signed for each of 6 coins" in line for line in found.proven)
    assert any("recovery keys" in line for line in found.never)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bitcoin", "XBt: amounts were not held"),
        ("ethereum", "Gwei: whether block 77"),
        ("solana", "LAMPORT: whether"),
    ],
)
def test_what_was_not_given_leaves_it_open(folder: Path, name: str, words: str) -> None:
    found = verdict(folder, sources()._replace(**{name: None}))
    assert found.exit == Exit.INCONCLUSIVE
    assert [line for line in found.open if line.startswith(words)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("control.json", "there is no control.json"),
        ("XBt.header", "Which liabilities the list stands against"),
    ],
)
def test_a_file_that_is_missing_leaves_it_open(folder: Path, name: str, words: str) -> None:
    (folder / name).unlink()
    found = verdict(folder)
    assert found.exit == Exit.INCONCLUSIVE
    assert any(words in line for line in found.open)


def test_nodes_that_cannot_say_leave_it_open(folder: Path) -> None:
    assert verdict(folder, sources(Node(None))).exit == Exit.INCONCLUSIVE
    poor = sources(Node(GOOD.block_hash(77), lamports=1))
    assert verdict(folder, poor).exit == Exit.INCONCLUSIVE

    def silent(checked: Checked) -> None:
        raise InconclusiveError("the node does not answer")

    assert verdict(folder, sources()._replace(ethereum=silent)).exit == Exit.INCONCLUSIVE


def test_nodes_that_say_otherwise_prove_a_forgery(folder: Path) -> None:
    with pytest.raises(ForgedError, match="block 77 of eip155:31337 is"):
        verdict(folder, sources(Node("0x" + "11" * 32)))
    with pytest.raises(ForgedError, match="of the chain is another"):
        verdict(folder, sources(later=lambda height: "11" * 32))
    block = json.loads(MADE.control)["block"]
    assert verdict(folder, sources(later=lambda height: str(block["hash"]))).exit == Exit.PROVEN


def test_files_that_do_not_belong_together_are_a_forgery(folder: Path) -> None:
    (folder / "reserves.yaml").write_bytes(b"height: 1\n")
    with pytest.raises(ForgedError, match=r"reserves.yaml does not say"):
        verdict(folder)
    (folder / "reserves.yaml").unlink()
    (folder / "Gwei.header").write_bytes(b"{}\n" + json.dumps({"reserves": "11" * 32}).encode())
    with pytest.raises(ForgedError, match=r"Gwei.header names another list"):
        verdict(folder)
    (folder / "Gwei.header").write_bytes(b"{}")
    with pytest.raises(ForgedError, match="is no header"):
        verdict(folder)


def test_the_index_beside_the_folder_has_the_roots_that_were_signed_for(folder: Path) -> None:
    roots = json.loads(MADE.control)["snapshotRoots"]

    def index(**changes: str) -> None:
        assets = {asset: {"snapshotRoot": root} for asset, root in {**roots, **changes}.items()}
        text = json.dumps({"snapshots": [{"snapshot": 7, "assets": assets}]})
        (folder.parent / "index.json").write_text(json.dumps({"index": text}))

    index()
    assert verdict(folder).exit == Exit.PROVEN
    index(XBt="11" * 32)
    with pytest.raises(ForgedError, match="the published one is"):
        verdict(folder)
    (folder.parent / "index.json").write_text("[]")
    with pytest.raises(ForgedError, match="no index of snapshots"):
        verdict(folder)


def test_nothing_is_never_a_success(folder: Path) -> None:
    nothing = Treasure(scripts=0, company=0, hot_coins=0, with_accounts=False)
    raw = nothing.reserves(fee_money={})
    (folder / "reserves.json").write_bytes(raw)
    (folder / "reserves.yaml").write_bytes(yaml_of(read_reserves(raw)))
    (folder / "control.json").write_bytes(nothing.control(raw))
    (folder / "XBt.header").write_bytes(
        b"{}\n" + json.dumps({"reserves": hashlib.sha256(raw).hexdigest()}).encode()
    )
    assert verdict(folder).exit == Exit.DIFFERENT


def test_a_row_that_is_not_judged_is_no_success(folder: Path) -> None:
    said = json.loads(MADE.reserves)
    said["bitcoin"]["scripts"][0]["descriptor"] = "wsh(pk(02" + "11" * 32 + "))"
    raw = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    assert len(check_listing(raw).doubts) == 1
    for path in folder.iterdir():
        path.unlink()
    (folder / "reserves.json").write_bytes(raw)
    found = verdict(folder)
    assert found.exit == Exit.INCONCLUSIVE
    assert found.open[0].startswith("bitcoin.scripts[0]: a descriptor of another form")


def test_the_command_says_it_and_ends_with_its_number(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = folder.parent / "coins.dat"
    write_snapshot(dump, network="regtest", block_hash=TREASURE.block_hash, coins=MADE.coins)
    assert check_dump(dump, check_listing(MADE.reserves)).coins == 8

    def run(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            app(["verify", "reserves", str(folder), *words])
        code = ended.value.code
        said = capsys.readouterr()
        return code if isinstance(code, int) else -1, said.out + said.err

    code, said = run("--dump", str(dump), "--json")
    assert (code, json.loads(said.splitlines()[0])["verdict"]) == (
        4,
        "inconclusive",
    )  # the other chains were not asked
    code, said = run("--venue", "cd" * 32)
    assert (code, "forged: the list is of another exchange" in said) == (2, True)
    (folder / "reserves.json").write_bytes(MADE.reserves[:-1])
    code, said = run("--json")
    assert (code, json.loads(said.splitlines()[0])["ok"]) == (2, False)
    (folder / "reserves.json").unlink()
    assert run()[0] == 1
    assert run("--node", "mars")[0] == 1
