"""What the auditor sees of the chain by itself: every reader's duties, and coins that are gone without a reason."""

import pytest

from ringfence.assurance.audit.auditor import Auditor
from ringfence.assurance.audit.chains import ChainError
from ringfence.assurance.audit.laws.i02_chains_hold_what_is_owed import ChainsHoldWhatIsOwed
from ringfence.custody.chains.bitcoin.regtest.faucet import Faucet
from ringfence.custody.chains.bitcoin.transactions import Output
from ringfence.custody.ledger import Ledger, LedgerGapError
from ringfence.daemons.bitcoin_reader import BitcoinReader
from ringfence.messages.commands import HaltScope
from ringfence.messages.funds import Wish
from ringfence.testing.conformance import check_chain_reader
from ringfence.testing.custody import TO, Custody, Replica
from ringfence.testing.thieves import XBT
from ringfence.units.assets import XBT as ASSET


class Feed:
    """What the custody's exchange says, for a reader."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    @property
    def ledger(self) -> Ledger:
        return self._replica.ledger

    def catch_up(self, *, below: int | None = None) -> bool:
        return bool(self._replica.look()) or below is None


def reader_of(custody: Custody) -> BitcoinReader:
    return BitcoinReader(custody.charter_from_here, custody.node.rpc, Feed(custody.replica()))


def judged(custody: Custody, auditor: Auditor, reader: BitcoinReader) -> list[HaltScope]:
    """Let the auditor look, with the books that the exchange has."""
    auditor.books.backed[ASSET.number] = custody.exchange.owed_sats
    return [HaltScope(one.scope) for one in auditor.on_chain(reader, custody.now_ns)]


def test_the_reader_does_what_every_reader_must(custody: Custody) -> None:
    custody.deposit(1, XBT)

    def receive(sats: int) -> None:
        Faucet(custody.node.rpc).pay([Output(sats, custody.book.address_of(1).script)])
        custody.mine()

    check_chain_reader(reader_of(custody), asset=ASSET.number, receive=receive, amount=10_000)


def test_whatever_custody_does_adds_up_at_every_step(custody: Custody) -> None:
    """Deposits that are not credited yet and payments that are not closed yet are explained."""
    reader, auditor = reader_of(custody), Auditor(laws=[ChainsHoldWhatIsOwed])
    assert judged(custody, auditor, reader) == []
    Faucet(custody.node.rpc).pay([Output(XBT, custody.book.address_of(1).script)])
    for _ in range(3):
        custody.mine()
        assert judged(custody, auditor, reader) == []
        custody.turn()
        assert judged(custody, auditor, reader) == []
    custody.exchange.ask(1, XBT // 4, 200_000, TO, now_ns=custody.now_ns)
    for _ in range(12):
        assert judged(custody, auditor, reader) == []
        custody.turn()
        assert judged(custody, auditor, reader) == []
        custody.mine()
    assert custody.exchange.owed_sats < XBT * 3 // 4 + 1
    assert not custody.view.ledger.open()


def test_a_credit_of_coins_that_never_came_halts(custody: Custody) -> None:
    reader, auditor = reader_of(custody), Auditor(laws=[ChainsHoldWhatIsOwed])
    custody.deposit(1, XBT)
    assert judged(custody, auditor, reader) == []
    custody.exchange.wallets[1] += 1
    assert judged(custody, auditor, reader) == [HaltScope.WITHDRAWALS]
    custody.mine()
    assert judged(custody, auditor, reader) == [HaltScope.VENUE]


def test_a_payment_that_no_withdrawal_explains_halts(custody: Custody) -> None:
    """All signers together pay out what the ledger never asked for: nobody but the auditor could stop it."""
    reader, auditor = reader_of(custody), Auditor(laws=[ChainsHoldWhatIsOwed])
    custody.deposit(1, XBT)
    number = custody.exchange.ask(1, XBT // 4, 200_000, TO, now_ns=custody.now_ns)
    custody.go_on()
    assert judged(custody, auditor, reader) == []
    # The same payment, but for a ledger in which its owner has asked for a satoshi less.
    replica = custody.replica()
    replica.look()
    entry = replica.ledger.withdrawals[number]
    less = Wish(TO, XBT // 4 - 1, 200_000, is_confirmed=True)
    replica.ledger.withdrawals[number] = entry._replace(wish=less)
    again = BitcoinReader(custody.charter_from_here, custody.node.rpc, Feed(replica))
    assert judged(custody, Auditor(laws=[ChainsHoldWhatIsOwed]), again) == [HaltScope.WITHDRAWALS]


def test_a_ledger_that_cannot_be_followed_makes_the_law_stale(custody: Custody) -> None:
    """Nothing is known then: the auditor neither dies of it nor says that all is well."""

    class Broken(Feed):
        def catch_up(self, *, below: int | None = None) -> bool:
            raise LedgerGapError("a line is missing")

    reader = BitcoinReader(custody.charter_from_here, custody.node.rpc, Broken(custody.replica()))
    with pytest.raises(ChainError, match="a line is missing"):
        reader.follow(1)
    assert judged(custody, Auditor(laws=[ChainsHoldWhatIsOwed]), reader) == []
