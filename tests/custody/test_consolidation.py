"""Few coins of many: the company's account pays its own deposit address, and the fee is nobody else's."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ringfence.custody.chains.bitcoin.regtest.faucet import Faucet
from ringfence.custody.chains.bitcoin.transactions import Output
from ringfence.custody.demonstration import FIRST_POLICY
from ringfence.custody.wallets.building import vsize_max
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner
from ringfence.daemons.bitcoin_reader import BitcoinReader
from ringfence.testing.bitcoin import NOBODY, RunningNode
from ringfence.testing.custody import Custody, Hardware
from ringfence.units.assets import XBT
from ringfence.units.rounding import ceil_div

CLIENT, HOUSE = 1, 7
SMALL = 200_000


@pytest.fixture
def custody(tmp_path: Path, hardware: Hardware, node: RunningNode) -> Iterator[Custody]:
    policy = msgspec.structs.replace(FIRST_POLICY, housekeeper=HOUSE)
    made = Custody(tmp_path / "custody", hardware, node, policy=policy)
    yield made
    made.close()


class Following:
    """The auditor's feed: the replica of the test."""

    def __init__(self, custody: Custody) -> None:
        self._replica = custody.replica()
        self.ledger = self._replica.ledger

    def catch_up(self, *, below: int | None = None) -> bool:
        self._replica.look()
        return False


def many_small(custody: Custody, count: int) -> None:
    address = custody.book.address_of(CLIENT)
    for _ in range(count):
        Faucet(custody.node.rpc).pay([Output(SMALL, address.script)])
    for _ in range(3):
        custody.mine()
        custody.turn()
    assert len(custody.exchange.said) == count


def fee_for(custody: Custody, inputs: int) -> int:
    """Return what a transaction of so many of our coins costs now; the tests before have paid for blocks as well."""
    rate = max(custody.node.rpc.fee_rate_sats_per_kvb(6) or 0, 2_000)
    scripts = [custody.book.address_of(HOUSE).script] * 2
    return ceil_div(vsize_max(inputs, scripts) * rate, 1_000)


def coins(custody: Custody) -> list[int]:
    custody.view.look()
    wallets = custody.hardware.wallets
    return sorted(
        coin.amount_sats
        for coin in custody.view.follower.confirmed_coins()
        if (mine := wallets.classify(coin.script)) is not None and mine.owner == Owner.CLIENTS
    )


def test_the_house_pays_the_fee_and_clients_keep_every_satoshi(custody: Custody) -> None:
    many_small(custody, 12)
    custody.deposit(HOUSE, 1_000_000)
    reader = BitcoinReader(custody.charter_from_here, custody.node.rpc, Following(custody))
    before, owed = sum(coins(custody)), custody.exchange.wallets[CLIENT]
    assert len(coins(custody)) == 13

    number = custody.exchange.ask(
        HOUSE, 10_000, fee_for(custody, 14), custody.book.address_of(HOUSE).text, now_ns=custody.now_ns
    )
    custody.go_on()
    for _ in range(3):  # until what came to the house is deep enough to be credited
        custody.mine()
        custody.turn()

    left = custody.view.ledger.withdrawals[number]
    fee = left.left - 10_000
    assert 0 < fee <= fee_for(custody, 14)
    assert len(coins(custody)) == 2  # the payment to the house, and one of everything else
    assert sum(coins(custody)) == before - fee
    assert custody.exchange.wallets[CLIENT] == owed
    assert custody.exchange.wallets[HOUSE] == 1_000_000 - fee
    assert custody.report().agrees

    reader.follow(10**9)
    tip = reader.tip()
    backed = custody.view.ledger.backed[XBT.number]
    held = (
        reader.confirmed(XBT.number, tip)
        - reader.uncredited(XBT.number, tip)
        + reader.paid_ahead(XBT.number, tip)
    )
    assert held == backed


def test_a_small_allowance_for_the_fee_takes_fewer_coins(custody: Custody) -> None:
    many_small(custody, 12)
    custody.deposit(HOUSE, 1_000_000)
    own = custody.book.address_of(HOUSE).text
    custody.exchange.ask(HOUSE, 10_000, fee_for(custody, 4), own, now_ns=custody.now_ns)
    custody.go_on()
    assert 9 < len(coins(custody)) < 13
    assert custody.report().agrees


def test_nobody_else_is_paid_to_an_address_of_ours_and_nobody_to_one_for_change(custody: Custody) -> None:
    custody.deposit(CLIENT, 5_000_000)
    custody.deposit(HOUSE, 1_000_000)
    deriver = custody.hardware.wallets.derivers[Owner.CLIENTS]
    change = deriver.address(deriver.script(Keychain.CHANGE, 9))
    own = custody.book.address_of(HOUSE).text
    for account, address, reason in (
        (CLIENT, own, "paid to an address of ours"),
        (HOUSE, change, "0 leave, 10000 were asked for"),
    ):
        custody.exchange.ask(account, 10_000, 50_000, address, now_ns=custody.now_ns)
        custody.go_on(turns=6)
        refusal = [flow.given_up or flow.waiting_for for flow in custody.batches.flows.values()][-1]
        assert reason in refusal, refusal
        assert not [flow for flow in custody.batches.flows.values() if flow.attempts]


def test_the_house_is_in_a_batch_of_its_own(custody: Custody) -> None:
    custody.deposit(CLIENT, 5_000_000)
    custody.deposit(HOUSE, 1_000_000)
    custody.exchange.ask(CLIENT, 50_000, 50_000, str(NOBODY), now_ns=custody.now_ns)
    custody.exchange.ask(HOUSE, 10_000, 50_000, custody.book.address_of(HOUSE).text, now_ns=custody.now_ns)
    custody.go_on(turns=16)
    assert [len(flow.batch.intents) for flow in custody.batches.flows.values()] == [1, 1]
