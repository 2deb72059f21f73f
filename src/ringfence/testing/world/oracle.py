"""What was told to whom, and at the end: was it true?"""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ringfence.exchange.engine import Engine
from ringfence.exchange.journal import JournalError, read_frames
from ringfence.exchange.projections import Views
from ringfence.exchange.sequencer import InFlight
from ringfence.messages.batch import CLORDID, Records, decode_slots
from ringfence.messages.commands import Command
from ringfence.messages.events import Event, EventFlag
from ringfence.messages.identifiers import order_id
from ringfence.messages.records import COMMAND, EVENT
from ringfence.testing.world.damage import Damage, restore_journal, verify
from ringfence.testing.world.gateway import Answer

if TYPE_CHECKING:
    from ringfence.testing.world.world import World


class Oracle:
    """Keeps every promise that was made and holds the journal to it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._told: dict[int, Answer] = {}
        """By token."""
        self._nothing: list[int] = []
        """Tokens of which we said that nothing was done."""
        self._accepted: dict[str, str] = {}
        self._not_there: list[str] = []
        self._doubled: dict[str, None] = {}
        """Names that were sent again without asking."""
        self._in_flight: InFlight | None = None

    # ---- promises

    def doubled(self, clordid: str) -> None:
        self._doubled[clordid] = None

    def told(self, answer: Answer) -> None:
        if answer.token and answer.status in (200, 400):
            self._told[answer.token] = answer

    def nothing_done(self, token: int) -> None:
        self._nothing.append(token)

    def accepted(self, clordid: str, order: str) -> None:
        self._accepted[clordid] = order

    def not_there(self, clordid: str) -> None:
        self._not_there.append(clordid)

    # ---- starts

    def in_flight(self, batch: InFlight) -> None:
        self._in_flight = batch

    def refused(self, damage: Damage | None, error: JournalError) -> None:
        """The core did not start. It was right if the journal was damaged; then a backup is put back."""
        assert damage is not None, f"an undamaged journal was refused: {error}"
        is_watermark = "had been acknowledged" in str(error)
        self._world.reach(f"refused to start: {'watermark' if is_watermark else 'rot'}")
        restore_journal(self._world.machine.disks, damage)

    def started(self, damage: Damage | None) -> None:
        world = self._world
        before = world.judge.next_sequence
        world.judge.drain()
        if self._in_flight is not None and world.judge.next_sequence > before:
            world.reach("the batch in flight survived")
        self._in_flight = None
        if damage is None:
            return
        # It started: then either nobody had been told of what was damaged, or the damage is where a start
        # does not look, and `journal verify` finds it.
        try:
            verify(world.machine.disks, acknowledged=world.judge.next_sequence)
            world.reach("damage to what nobody was told of")
        except JournalError:
            world.reach("damage found by verify")
            restore_journal(world.machine.disks, damage, is_open=True)

    # ---- the end

    def check(self) -> None:
        """Hold everything that was told against what is in the journal."""
        world = self._world
        world.judge.drain()
        self._check_journal()
        commands = np.frombuffer(b"".join(raw for _, raw, _ in world.judge.batches), COMMAND)
        events = np.frombuffer(b"".join(raw for _, _, raw in world.judge.batches), EVENT)
        accepted, rejected = self._outcomes(events)
        requests, kinds = commands["request"].tolist(), commands["kind"].tolist()
        place_of = {
            token: sequence
            for sequence, (token, kind) in enumerate(zip(requests, kinds, strict=True))
            if token and kind != Command.DATA
        }
        n_tokens = sum(
            bool(token) and kind != Command.DATA for token, kind in zip(requests, kinds, strict=True)
        )
        assert len(place_of) == n_tokens, "a command was applied twice"
        for token in self._nothing:
            assert token not in place_of, f"we said that nothing was done of {token}, and it was"
        for token, answer in self._told.items():
            assert token in place_of, f"command {token} was acknowledged and is lost"
            sequence = place_of[token]
            assert rejected.get(sequence, 0) == answer.reject, f"command {token} was told another result"
            if kinds[sequence] == Command.PLACE and answer.status == 200:
                assert accepted[sequence] == answer.order_id, f"command {token} was told another order"
        self._check_names(commands, accepted, _closed_at(events))

    def _check_journal(self) -> None:
        """Replay the journal from nothing: the same words, the same state."""
        world = self._world
        engine = Engine(accounts=64, orders=64)
        said = [commands for _, commands, _ in world.judge.batches]
        found = 0
        for frame in read_frames(world.machine.disks.journal):
            assert found < len(said), "the journal holds what was never published"
            assert frame.commands == said[found], "the journal and the feed do not say the same"
            engine.step(np.frombuffer(frame.commands, COMMAND), timestamp_ns=frame.timestamp_ns)
            found += 1
        assert found == len(said), "what was published is not in the journal"
        world.judge.check_engine(engine)
        assert world.core.cycle is not None
        world.judge.check_engine(world.core.cycle.engine)

    def _outcomes(self, events: Records) -> tuple[dict[int, str], dict[int, int]]:
        accepted: dict[int, str] = {}
        rejected: dict[int, int] = {}
        for event in events[events["kind"] == Event.ACCEPTED]:
            sequence, handle = int(event["sequence"]), int(event["handle"])
            accepted.setdefault(sequence, order_id(sequence, handle))
        for event in events[events["kind"] == Event.REJECTED]:
            rejected[int(event["sequence"])] = int(event["amount"])
        return accepted, rejected

    def _check_names(self, commands: Records, accepted: dict[int, str], closed_at: dict[str, int]) -> None:
        raw = commands.tobytes()
        by_name: dict[str, list[str]] = {}
        sequence_of = {order: sequence for sequence, order in accepted.items()}
        for sequence in np.flatnonzero(commands["kind"] == Command.PLACE).tolist():
            if sequence in accepted:
                name = decode_slots(raw, sequence).get(CLORDID, b"").decode()
                by_name.setdefault(name, []).append(accepted[sequence])
        for name, orders in by_name.items():
            if name in self._doubled:
                # It may be placed again once it is done: a clOrdID is unique while its order is open.
                for order, later in pairwise(orders):
                    assert closed_at.get(order, 2**62) <= sequence_of[later], (
                        f"{name} was placed twice at once"
                    )
                self._world.reach("placed again after it was done")
            else:
                assert len(orders) == 1 or not name, f"{name} was placed {len(orders)} times"
        for name, order in self._accepted.items():
            found = by_name.get(name, [])
            assert order in found, f"{name} was acknowledged as {order} and is {found}"
        for name in self._not_there:
            assert name not in by_name, f"{name} was placed though we were told that it was not"

    def check_views(self, views: Views) -> None:
        """Check that a gateway knows what the engine knows of wallets and positions."""
        twin = self._world.judge.twin
        assert views.next_sequence == twin.next_sequence, "a gateway did not catch up"
        for account in views.accounts.values():
            for asset, margin in account.margins.items():
                wallet = int(twin.margin(asset, account.number)["wallet"])
                assert margin.wallet == wallet, f"account {account.number} is shown another wallet"
            for symbol, held in account.positions.items():
                position = twin.position(account.number, symbol)
                qty = 0 if position is None else int(position["qty"])
                assert held.qty == qty, f"account {account.number} is shown another position"


def _closed_at(events: Records) -> dict[str, int]:
    """Return at which command each order ended that was cancelled or filled."""
    closed: dict[str, int] = {}
    canceled = events[events["kind"] == Event.CANCELED]
    trades = events[events["kind"] == Event.TRADE]
    takers = trades[trades["flags"] & EventFlag.TAKER_DONE != 0]
    makers = trades[trades["flags"] & EventFlag.MAKER_DONE != 0]
    for rows, field in ((canceled, "handle"), (takers, "handle"), (makers, "maker_handle")):
        for handle, sequence in zip(rows[field].tolist(), rows["sequence"].tolist(), strict=True):
            closed[order_id(handle >> 32, handle & 0xFFFFFFFF)] = sequence
    return closed
