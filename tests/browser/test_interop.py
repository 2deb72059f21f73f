"""Two programs that read the same page: what the product writes is read by the browser, and the other way round.

The writer of `porl_files` was made from docs/reference/proofs.md alone, by somebody who did not see the product's.
"""

from pathlib import Path

import pytest

from ringfence.assurance.proofs.errors import Exit, ProofError
from ringfence.assurance.proofs.secrets import account_nonce
from ringfence.assurance.proofs.verify import Claimant, verify_bitmex, verify_porl2
from ringfence.testing.proof_operator import EPOCH_KEY, Operator, equity
from tests.browser.chromium import Verifier
from tests.browser.forgeries import FORGED, World
from tests.proofs.books import Book, book


def person(made: Book, account: int, kind: str) -> dict[str, str]:
    claimant = made.claimant(account)
    key = {
        "account": claimant.account_nonce, "v2": made.claimant(account, by="snapshot_key").snapshot_key,
        "v1": made.sub_nonce(account),
    }[kind]  # fmt: skip
    return {
        "venue": made.venue.hex(), "account": str(account), "login": f"account-{account}", "kind": kind,
        "key": key.hex(), "expect": str(made.balances[account]), "unit": "units", "blocks": "",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["account", "v2"])
def test_the_page_reads_our_files_in_format_v2(verifier: Verifier, seed: int, kind: str) -> None:
    made = book(seed, accounts=40, in_flight=5)
    account = next(account for account, balance in made.balances.items() if balance)
    result = verifier.check({"XBt.porl2": made.filed.porl2}, person(made, account, kind))
    assert result["verdict"] == Exit.PROVEN, result["checks"]
    assert result["found"]["units"] == str(made.balances[account])


@pytest.mark.parametrize("kind", ["account", "v1"])
def test_the_page_reads_our_files_in_bitmex_format(verifier: Verifier, kind: str) -> None:
    made = book(2, accounts=40)
    filed = made.filed
    files = {
        "XBt.liabilities.csv": filed.csv, "XBt.header": filed.header.raw, "XBt.bind": filed.bind,
        "XBt.porl2": filed.porl2, "XBt.top": filed.top,
    }  # fmt: skip
    result = verifier.check(files, person(made, 2, kind))
    assert result["verdict"] == Exit.PROVEN, result["checks"]


def test_the_page_reads_everything_that_an_operator_has_published(verifier: Verifier, tmp_path: Path) -> None:
    """Index, headers of two snapshots, minutes of the period between them, an opened minute."""
    operator = Operator(tmp_path)
    operator.trade(40)
    claims = operator.claims()
    operator.publish()
    for _ in range(4):
        operator.trade()
        operator.minute()
    operator.publish()
    operator.minute()
    for _ in range(3):
        operator.block()
    operator.open(1)
    files = {
        "index.json": (tmp_path / "index.json").read_bytes(),
        "XBt.porl2": (tmp_path / "000001" / "XBt.porl2").read_bytes(),
        "later.header": (tmp_path / "000002" / "XBt.header").read_bytes(),
        "000001.jsonl": (tmp_path / "minutes" / "000001.jsonl").read_bytes(),
    }  # fmt: skip
    form = {
        "venue": operator.venue.hex(), "account": "2", "login": "trader-2", "kind": "account", "unit": "units",
        "blocks": "", "key": account_nonce(EPOCH_KEY, "XBt", 2).hex(), "expect": str(equity(claims, "XBt", 2)),
    }  # fmt: skip
    result = verifier.check(files, form)
    assert result["verdict"] == Exit.PROVEN, [one for one in result["checks"] if one["status"] != "ok"]
    opened = sorted((tmp_path / "openings").rglob("XBt.porl2"))
    assert opened
    for path in opened:
        number = int(path.parent.name)
        line = next(one for one in operator.lines(1) if one.n == number)
        then, _ = operator.replayed(line)
        form["expect"] = str(equity(then, "XBt", 2))
        files = {"XBt.porl2": path.read_bytes(), "index.json": (tmp_path / "index.json").read_bytes()}
        result = verifier.check(files, form)
        assert result["verdict"] == Exit.PROVEN, [one for one in result["checks"] if one["status"] != "ok"]


# ---- the other way round


@pytest.mark.parametrize("kind", ["account", "v2", "v1"])
def test_the_command_line_reads_files_that_somebody_else_wrote(kind: str) -> None:
    world = World()
    for account in (3, 5, 7):
        login, units = world.one.book[account]
        keys = {"account": world.one.nonce, "v2": world.one.snapshot_key, "v1": world.one.sub_nonce}
        claimant = Claimant(account, login, expected=units)
        name = {"account": "account_nonce", "v2": "snapshot_key", "v1": "sub_nonce"}[kind]
        claimant = claimant._replace(**{name: keys[kind](account)})
        if kind != "v1":
            assert verify_porl2(world.one.porl2, claimant, venue=world.keys.venue).mine == units
        if kind != "v2":
            header = verify_porl2(world.one.porl2, None, venue=world.keys.venue).file
            assert header is not None
            found = verify_bitmex(world.one.v1, claimant, header=header.header, sidecar=world.one.bind)
            assert found.mine == units


def _v2_of(name: str, world: World) -> tuple[bytes, dict[str, str]] | None:
    """Return the one file in format v2 of a forgery, if it is about nothing else."""
    files, form, _ = FORGED[name](world)
    some = [raw for file, raw in files.items() if file.endswith(".porl2")]
    return (some[0], form) if len(files) == len(some) == 1 else None


def test_what_the_page_refuses_the_command_line_refuses_too() -> None:
    """Every forgery of the browser's list that is one file in format v2."""
    world, looked_at = World(), 0
    for name in FORGED:
        found = _v2_of(name, world)
        if found is None:
            continue
        raw, form = found[0], {**world.person(), **found[1]}
        looked_at += 1
        claimant = Claimant(
            int(form["account"]), form["login"], account_nonce=bytes.fromhex(form["key"]),
            expected=int(form["expect"]),
        )  # fmt: skip
        with pytest.raises(ProofError) as caught:
            verify_porl2(raw, claimant, venue=bytes.fromhex(form["venue"]))
        assert caught.value.exit == Exit.FORGED, name
    assert looked_at >= 40
