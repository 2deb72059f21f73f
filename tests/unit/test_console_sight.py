"""What signers are shown: decoded from bytes and feed. A coordinator that lies about either is seen."""

from typing import Any

import msgspec
import pytest

from ringfence.chained_log import GENESIS, Entry
from ringfence.console import decoded
from ringfence.console.sight import Sight
from ringfence.custody.chains.bitcoin.transactions import address_of
from ringfence.custody.coordinator.batches import batch_of
from ringfence.custody.intents import Intent
from ringfence.custody.ledger import Moved
from ringfence.custody.quorum.messages import SealedRecord, VerdictRow
from ringfence.custody.wallets.building import Funds, Payment, build
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner
from ringfence.messages.funds import Wish
from ringfence.testing.bitcoin import NOBODY
from tests.unit.console_house import XBT, charter

NOW_NS = 1_796_068_506_738_858_553
TO = b"\x00\x14" + b"\x22" * 20
THIEF = b"\x00\x14" + b"\x66" * 20


@pytest.fixture
def sight() -> Sight:
    return Sight(charter(), lookahead=5)


def asked(sight: Sight, number: int, amount: int, *, to: bytes = TO) -> Intent:
    wish = Wish(address_of(to) or "", amount, 300_000, is_confirmed=True)
    sight.ledger.fold(Moved(number, NOW_NS, "wish", 2, 0, amount + 300_000, wish=wish))
    intent = sight.intent(sight.ledger.withdrawals[number])
    assert intent is not None
    return intent


def take(sight: Sight, *lines: tuple[str, dict[str, object]]) -> None:
    for kind, body in lines:
        sight.take(Entry(0, NOW_NS, kind, body, GENESIS))


def put_forward(sight: Sight, intents: list[Intent], *payments: tuple[bytes, int]) -> str:
    """The coordinator gathers and builds; return the batch's name."""
    batch = batch_of(intents)
    script = sight.wallets.derivers[Owner.CLIENTS].script(Keychain.RECEIVE, 0)
    coin = Funds(Coin(Outpoint("11" * 32, 0), 50 * XBT, script))
    unsigned = build(
        sight.wallets, Owner.CLIENTS, [coin], [Payment(*one) for one in payments], fee_rate_sats_per_kvb=5_000,
        change_index=0,
    )  # fmt: skip
    record = SealedRecord(batch.digest.hex(), "00", 10, 12, 0, ())
    built = {
        "id": batch.id,
        "unsigned": unsigned.psbt,
        "fee": 1,
        "spends": [str(coin.coin.outpoint)],
        "change_index": 0,
    }
    take(
        sight, ("gathered", {"batch": msgspec.to_builtins(batch)}),
        ("sealed", {"id": batch.id, "sealed": msgspec.to_builtins(record), "witnesses": []}), ("built", built),
    )  # fmt: skip
    return batch.id


def flow_row(sight: Sight) -> dict[str, Any]:
    (row,) = sight.flows()
    return row


def test_a_payment_is_decoded_with_whose_every_output_is(sight: Sight) -> None:
    put_forward(sight, [asked(sight, 7, 20 * XBT)], (TO, 20 * XBT))
    row = flow_row(sight)
    assert row["doubts"] == []
    transaction = row["transaction"]
    paid, change = transaction["pays"]
    assert (paid["kind"], paid["amount"], paid["for"], paid["isExpected"]) == (
        "client's",
        str(20 * XBT),
        "7",
        True,
    )
    assert change["kind"] == "change: change address 0 of clients"
    paid = sum(int(one["amount"]) for one in transaction["pays"])
    assert int(transaction["fee"]) == 50 * XBT - paid > 0


@pytest.mark.parametrize(
    ("payments", "doubt"),
    [
        (((THIEF, 20 * XBT),), "7 asks for 2000000000, and is paid []"),
        (((TO, 19 * XBT),), "and is paid [1900000000]"),
        (((TO, 20 * XBT), (TO, 20 * XBT)), "and is paid [2000000000, 2000000000]"),
        (((TO, 20 * XBT), (THIEF, 1_000)), "1000 go to"),
    ],
)  # fmt: skip
def test_what_pays_otherwise_than_was_asked_is_said(
    sight: Sight, payments: tuple[tuple[bytes, int], ...], doubt: str
) -> None:
    """A thief's address, less, twice, something beside it."""
    put_forward(sight, [asked(sight, 7, 20 * XBT)], *payments)
    assert doubt in str(flow_row(sight)["doubts"])


def test_a_fee_that_nobody_has_allowed_is_said(sight: Sight) -> None:
    intent = asked(sight, 7, XBT)
    paid = (decoded.Paid(intent.destination, XBT, ""),)
    for fee, is_doubtful in ((300_000, False), (300_001, True), (-1, True), (None, False)):
        doubts = decoded.doubts_of(decoded.Decoded("", "", (), paid, fee, ""), [intent])
        assert bool(doubts) is is_doubtful, fee


@pytest.mark.parametrize(
    "changed",
    [{"amount": 1}, {"destination": NOBODY[:-1]}, {"account": 3}, {"fee_max": 2}, {"requested_ns": 1}],
)
def test_a_batch_of_what_nobody_has_asked_for_is_said(sight: Sight, changed: dict[str, object]) -> None:
    intent = msgspec.structs.replace(asked(sight, 7, 20 * XBT), **changed)
    put_forward(sight, [intent], (TO, 20 * XBT))
    assert "movement 7 is not what the exchange's feed has asked for" in flow_row(sight)["doubts"]


def test_bytes_that_are_no_transaction_are_said(sight: Sight) -> None:
    batch = put_forward(sight, [asked(sight, 7, 20 * XBT)], (TO, 20 * XBT))
    sight.batches.flows[batch].unsigned = "cHNidP8="
    row = flow_row(sight)
    assert row["transaction"] is None
    assert "cannot be decoded" in str(row["doubts"])


def test_a_large_one_waits_for_people_and_is_told_how_many(sight: Sight) -> None:
    asked(sight, 7, 60 * XBT)
    row = sight.request(7, NOW_NS, {})
    assert row is not None
    assert (row["state"], row["kind"], row["amount"]) == ("waits for people", "client's", str(60 * XBT))
    assert (row["tier"]["missing"], row["tier"]["missingGroups"]) == (2, 2)
    assert row["intent"]["amount"] == str(60 * XBT)
    small = asked(sight, 8, XBT)
    assert [(one["number"], one["state"]) for one in sight.requests(NOW_NS)] == [
        ("7", "waits for people"), ("8", "ready"),
    ]  # fmt: skip
    assert small.digest == sight.requests(NOW_NS)[1]["digest"]


def test_a_coordinator_that_speaks_of_another_movement_is_seen(sight: Sight) -> None:
    intent = asked(sight, 7, 60 * XBT)
    for digest, agrees in ((intent.digest, True), ("ab" * 32, False), ("", True)):
        row = sight.request(7, NOW_NS, {"digest": digest})
        assert row is not None
        assert row["said"]["agrees"] is agrees
        assert row["digest"] == intent.digest


def test_an_approval_that_nobody_has_signed_does_not_count(sight: Sight) -> None:
    intent = asked(sight, 7, 20 * XBT)
    approval = {"person": "anna", "group": "operations", "digest": intent.digest, "at_ns": NOW_NS}
    take(sight, ("approved", {"approval": {"approval": approval, "signature": "00" * 64}}))
    row = sight.request(7, NOW_NS, {})
    assert row is not None
    assert (row["approvals"], row["tier"]["missing"]) == ([], 1)


def test_our_own_address_is_called_ours(sight: Sight) -> None:
    script = sight.wallets.derivers[Owner.CLIENTS].script(Keychain.RECEIVE, 3)
    asked(sight, 7, XBT, to=script)
    assert sight.requests(NOW_NS)[0]["kind"] == "ours"


def test_verdicts_are_shown_as_they_were_told(sight: Sight) -> None:
    batch = put_forward(sight, [asked(sight, 7, XBT)], (TO, XBT))
    rows = [VerdictRow("P1", "7", allows=False, reason="too much")]
    raw = b"\2\0\0\0"
    sight.batches.flows[batch].attempts.clear()
    signed = {
        "id": batch, "txid": "00", "raw": raw.hex(), "fee": 1, "unsigned": sight.batches.flows[batch].unsigned,
        "signers": ["ops-1"], "verdicts": {"ops-1": msgspec.to_builtins(rows)},
    }  # fmt: skip
    take(sight, ("signed", signed))
    assert [dict(one) for one in flow_row(sight)["verdicts"]["ops-1"]] == msgspec.to_builtins(rows)
