"""A process dies at every step of a withdrawal, while the chain reorganises or the payment has to be replaced.

At most one payment of a request is ever confirmed, nothing is lost, and chain and ledger are equal to the satoshi at
the end. A sample by default; RINGFENCE_CRASHES=all goes through every step with every trouble (`nox -s thefts`).
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ringfence.custody.chains.bitcoin.transactions import address_of
from ringfence.custody.demonstration import PLACES
from ringfence.testing.bitcoin import RunningNode
from ringfence.testing.custody import TO, Custody, Hardware, Stopped
from ringfence.testing.thieves import XBT

ALL = os.environ.get("RINGFENCE_CRASHES") == "all"
SATS, FEE_MAX = XBT // 5, 400_000
_TURNS_MAX = 60


class Story:
    """One withdrawal to an address of its own, with a death at one step and a trouble of the chain."""

    def __init__(self, folder: Path, hardware: Hardware, node: RunningNode, number: int) -> None:
        self.custody = Custody(folder / f"story-{number}", hardware, node)
        self.script = b"\x00\x14" + number.to_bytes(20, "big")
        self.steps = 0
        self.dies_at = -1
        self.names: list[str] = []
        self.restarts_signers = False
        self.custody.before_effect = self._step

    def _step(self, what: str) -> None:
        self.names.append(what)
        self.steps += 1
        if self.steps - 1 == self.dies_at:
            raise Stopped

    def turn(self) -> None:
        try:
            self.custody.turn()
        except Stopped:
            self.custody.start_coordinator()
            if self.restarts_signers:
                for process in self.custody.cosigners.values():
                    process.restart()

    def begin(self) -> None:
        custody = self.custody
        custody.before_effect = lambda what: None
        custody.mine(7)
        custody.deposit(1, XBT // 2)
        custody.deposit(2, XBT // 3)
        custody.before_effect = self._step
        address = str(address_of(self.script))
        self.number = custody.exchange.ask(1, SATS, FEE_MAX, address, now_ns=custody.now_ns)

    def until(self, done: Callable[[], bool], *, mines: bool = True) -> None:
        for _ in range(_TURNS_MAX):
            self.turn()
            if done():
                return
            if mines:
                self.custody.mine()
        raise AssertionError(
            [(f.state, f.waiting_for, f.given_up) for f in self.custody.batches.flows.values()]
        )

    @property
    def is_sent(self) -> bool:
        mempool = self.custody.node.rpc.mempool()
        flows = self.custody.batches.flows.values()
        return any(one.txid in mempool for flow in flows for one in flow.attempts)

    @property
    def is_over(self) -> bool:
        return self.custody.exchange.locked[self.number] == 0

    def check(self) -> None:
        """One payment, exact sums, and nothing left to be done."""
        custody = self.custody
        custody.mine()
        self.turn()
        paid = [output.amount_sats for _, output, _ in custody.node.rpc.scan([self.script]).coins]
        assert paid == [SATS]
        report = custody.report()
        assert report.agrees, report
        assert custody.exchange.owed_sats == report.chain["clients"]
        withdrawal = custody.view.ledger.withdrawals[self.number]
        assert SATS < withdrawal.left <= SATS + FEE_MAX
        assert withdrawal.left + withdrawal.returned == SATS + FEE_MAX
        custody.close()


def calm(story: Story) -> None:
    story.until(lambda: story.is_over)


def restarted(story: Story) -> None:
    """The co-signers die as well, all of them."""
    story.restarts_signers = True
    story.until(lambda: story.is_over)


def _reorganised(depth: int) -> Callable[[Story], None]:
    def happens(story: Story) -> None:
        story.until(lambda: story.is_over or story.is_sent)
        story.custody.mine()
        story.turn()
        story.custody.node.reorganise(depth)
        story.until(lambda: story.is_over)

    return happens


def replaced(story: Story) -> None:
    """The payment is stuck, and a dearer one takes its place."""
    story.until(lambda: story.is_over or story.is_sent)
    rpc = story.custody.node.rpc
    stuck = [one.txid for flow in story.custody.batches.flows.values() for one in flow.attempts]
    for txid in stuck:
        if txid in rpc.mempool():
            rpc.prioritise(txid, -(10**8))
    for _ in range(8):
        story.custody.mine()
        story.turn()
    for txid in stuck:
        if txid in rpc.mempool():
            rpc.prioritise(txid, 10**8)
    story.until(lambda: story.is_over)


TROUBLES: dict[str, Callable[[Story], None]] = {
    "calm": calm, "co-signers die too": restarted, "reorganisation of 1": _reorganised(1),
    "reorganisation of 3": _reorganised(3), "reorganisation of 6": _reorganised(6), "replaced": replaced,
}  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_death_at_any_step_pays_once_and_loses_nothing(
    tmp_path: Path, hardware: Hardware, node: RunningNode, trouble: str
) -> None:
    place = list(TROUBLES).index(trouble)
    undisturbed = Story(tmp_path, hardware, node, (place + 1) * 10_000 + _salt())
    undisturbed.begin()
    TROUBLES[trouble](undisturbed)
    undisturbed.check()
    steps = undisturbed.steps
    assert steps > 40, undisturbed.names
    died: Counter[str] = Counter()
    chosen = range(steps) if ALL else range(place, steps, max(steps // 6, 1))
    for dies_at in chosen:
        story = Story(tmp_path, hardware, node, (place + 1) * 10_000 + 1 + dies_at + _salt())
        story.dies_at = dies_at
        story.begin()
        TROUBLES[trouble](story)
        story.check()
        died[story.names[dies_at].split()[0]] += 1
    print(f"{trouble}: {sum(died.values())} deaths, {dict(died)}")
    if trouble == "replaced":
        assert any(len(flow.attempts) == 2 for flow in undisturbed.custody.batches.flows.values())


def _salt() -> int:
    """Return a number that keeps the addresses of two runs on one chain apart."""
    return os.getpid() * 10**6


@pytest.mark.parametrize("away_from", ["Commit", "Countersign"])
@pytest.mark.parametrize("name", PLACES)
def test_a_cosigner_is_away_at_the_sealing_and_back_at_the_draw(
    custody: Custody, away_from: str, name: str
) -> None:
    """Whoever is drawn signs, whether it was there at the sealing or not; nobody is told that a payment failed."""
    custody.deposit(1, XBT)
    custody.exchange.ask(1, XBT // 4, 200_000, TO, now_ns=custody.now_ns)

    def leave(effect: str) -> None:
        if effect == f"ask {away_from}":
            custody.down = {name}

    custody.before_effect = leave
    while not any(flow.witnesses for flow in custody.batches.flows.values()):
        custody.turn()
    custody.before_effect = lambda effect: None
    (flow,) = custody.batches.flows.values()
    assert name not in {one.signer for one in flow.witnesses}
    custody.down = set()
    custody.cosigners[name].restart()
    custody.go_on()
    assert flow.attempts, flow.given_up or flow.waiting_for
    assert not flow.late
    assert custody.report().agrees


def test_a_nominee_that_never_reveals_is_replaced_at_the_draw(custody: Custody) -> None:
    """Its contribution is left out once two others have waited for it; when it is back the quorum stands."""
    custody.deposit(1, XBT)
    late: tuple[str, ...] = ()
    while not late:
        custody.exchange.ask(1, XBT // 20, 200_000, TO, now_ns=custody.now_ns)
        custody.turn()
        custody.down = {"ops-1"}
        custody.mine(2)
        custody.turn()
        custody.down = set()
        custody.go_on()
        *_, flow = custody.batches.flows.values()
        assert flow.attempts, flow.given_up or flow.waiting_for
        late = flow.late
    assert late == ("ops-1",)
    assert custody.report().agrees
