"""The register. Texts are exact; a test says when one no longer stands in its file."""

from typing import NamedTuple

WORLD = "world"
"""The simulated world, within `seeds` seeds."""
_E = "ringfence.exchange."
_K = "ringfence.exchange.engine."


class Ablation(NamedTuple):
    """One safeguard and its absence."""

    name: str
    module: str
    text: str
    replacement: str
    catcher: str = WORLD
    """WORLD, or the test that knows: `tests/...::name`."""
    seeds: int = 80

    @property
    def is_engine(self) -> bool:
        """Whether it is a rule of the engine: then the build that is not compiled runs."""
        return self.module.startswith(_K)


_SHADOW = " ".join(
    f"tests/differential/test_shadow.py::{name}"
    for name in (
        "test_a_leveraged_market_in_motion[0-2000000]", "test_a_leveraged_market_in_motion[1-0]",
        "test_a_market_in_trouble_with_deleveraging", "test_a_market_whose_operator_changes_everything[1000-0]",
    )
)  # fmt: skip
_ANYTHING = f"{_SHADOW.split()[0]} tests/differential/test_shadow.py::test_everything_that_a_client_can_send"
_CLIENTS = "tests/unit/test_clients.py"
_RESORTS = (
    "tests/scenarios/test_last_resorts.py tests/scenarios/test_prices_and_funding.py "
    "tests/properties/test_derivative_laws.py"
)
_INBOX = "tests/properties/test_inbox_laws.py"
_JOURNAL_FAULTS = "tests/simulation/test_journal_faults.py"


def _theft(name: str) -> str:
    return f"tests/custody/test_known_thefts.py::test_{name}"


ABLATIONS = (
    # ---- the journal
    Ablation(
        "acknowledged before the sync", _E + "journal.journal",
        "            self._file.write_at(self._offset, frame.raw)\n            self._file.sync()\n",
        "            self._file.write_at(self._offset, frame.raw)\n",
    ),
    Ablation(
        "a failed write is acknowledged", _E + "sequencer.cycle",
        "        self.journal.write(frame)\n",
        "        try:\n"
        "            self.journal.write(frame)\n"
        "        except Exception:\n"
        "            pass\n",
    ),
    Ablation(
        "a failed sync is tried again", _E + "journal.journal",
        "            self._file.write_at(self._offset, frame.raw)\n            self._file.sync()\n",
        "            self._file.write_at(self._offset, frame.raw)\n"
        "            try:\n                self._file.sync()\n"
        "            except OSError:\n                self._file.sync()\n",
        catcher="tests/simulation/test_journal_faults.py",
    ),
    Ablation(
        "published before it is written", _E + "sequencer.cycle",
        "        self.journal.write(frame)\n",
        "        if batch.first_sequence % 5 != 1:\n"
        "            self.journal.write(frame)\n",
    ),
    Ablation(
        "no checksum of the commands", _E + "journal.frame",
        "if len(commands) < count * RECORD_BYTES or crc32c.crc32c(commands) != checksum:",
        "if len(commands) < count * RECORD_BYTES:",
    ),
    Ablation(
        "no checksum of the header", _E + "journal.frame",
        "    if crc32c.crc32c(header[: _HEADER.size]) != expected:\n", "    if False:\n",
        catcher=f"{_JOURNAL_FAULTS}::test_every_flipped_bit_of_every_frame_is_found_and_its_place_is_named",
    ),
    Ablation(
        "no hash chain", _E + "journal.reader",
        "if self.head is not None and found.previous != self.head:", "if False:",
        catcher=f"{_JOURNAL_FAULTS}::test_a_segment_of_another_journal_does_not_continue_the_chain",
    ),
    Ablation(
        "whatever does not check is a torn tail", _E + "journal.reader",
        "        if self.next_sequence < acknowledged:\n", "        if False:\n",
    ),
    Ablation(
        "a whole frame after damage is passed over", _E + "journal.reader",
        "        if later is not None and isinstance(", "        if False and isinstance(",
        catcher=f"{_JOURNAL_FAULTS}",
    ),
    Ablation(
        "damage before later segments is passed over", _E + "journal.reader",
        "        if self.segment != self.segments[-1].name:\n", "        if False:\n",
        catcher=f"{_JOURNAL_FAULTS}",
    ),
    Ablation(
        "a missing segment is passed over", _E + "journal.reader",
        "        if segment.number != expected_number:\n", "        if False:\n",
        catcher=f"{_JOURNAL_FAULTS}::"
        "test_an_early_segment_that_is_missing_is_missed_though_a_start_does_not_read_it",
    ),
    Ablation(
        "the sequence may jump", _E + "journal.reader",
        "        if found.first_sequence != self.next_sequence:\n            what",
        "        if False:\n            what",
        catcher=f"{_JOURNAL_FAULTS}",
    ),
    Ablation(
        "any version is read", _E + "journal.frame", "    if version != VERSION:\n", "    if False:\n",
        catcher=f"{_JOURNAL_FAULTS}::test_a_frame_of_another_version_is_never_taken_for_a_torn_tail",
    ),
    Ablation(
        "the last frame is not written again on opening", _E + "journal.journal",
        "        self._file.write_at(begin, reader.raw[begin : reader.offset])\n        self._file.sync()\n", "",
    ),
    Ablation(
        "a torn tail stays where it is", _E + "journal.journal",
        "            self._file.write_at(reader.offset, bytes(len(tail)))\n            self._file.sync()\n",
        "            pass\n", catcher=f"{_JOURNAL_FAULTS}::test_what_was_acknowledged_is_there_and_nothing_else",
    ),
    Ablation(
        "a torn tail is not kept", _E + "journal.journal", "        self._disk.put(kept_as, tail)\n", "",
        catcher=f"{_JOURNAL_FAULTS}::test_what_is_cut_off_at_the_end_is_rot_if_somebody_was_told_and_a_torn_tail_if_not",
    ),
    Ablation(
        "a broken journal takes the next frame", _E + "journal.journal",
        "            self._failed = True\n            raise JournalWriteError(sequence=self.next_sequence, ",
        "            raise JournalWriteError(sequence=self.next_sequence, ",
        catcher=f"{_JOURNAL_FAULTS}::test_after_one_failed_write_nothing_more_is_acknowledged",
    ),
    Ablation(
        "a segment that was begun is used", _E + "journal.journal",
        "                disk.remove(known[-1].name)\n                self._segments -= 1\n", "                pass\n",
        catcher=f"{_JOURNAL_FAULTS}::test_a_segment_whose_creation_was_cut_short_is_made_anew",
    ),
    # ---- the disk
    Ablation(
        "names are not synced", _E + "disk",
        "            os.fsync(descriptor)\n            sync_directory(self.directory)\n",
        "            os.fsync(descriptor)\n",
        catcher="tests/unit/test_disk.py::test_what_the_real_disk_promises_it_asks_of_the_kernel",
    ),
    Ablation(
        "a file is renamed before it is synced", _E + "disk",
        "            file.flush()\n            os.fsync(file.fileno())\n", "            file.flush()\n",
        catcher="tests/unit/test_disk.py::test_what_the_real_disk_promises_it_asks_of_the_kernel",
    ),
    # ---- recovery, feed and snapshots
    Ablation(
        "the feed does not say what was acknowledged", _E + "sequencer.recovery",
        "    return max(max(_sequences(disks.snapshots), default=0), published_below(disks.feed))\n",
        "    return max(_sequences(disks.snapshots), default=0)\n",
    ),
    Ablation(
        "a snapshot that is newer than the feed is used", _E + "sequencer.recovery",
        "        if sequence > at_most:\n            continue\n", "",
    ),
    Ablation(
        "no checksum of a snapshot", _K + "snapshot",
        "    if xxhash.xxh3_128(raw[:-_CHECKSUM_BYTES].data).digest() != raw[-_CHECKSUM_BYTES:].tobytes():\n",
        "    if False:\n", catcher="tests/unit/test_engine.py",
    ),
    Ablation(
        "a snapshot is written before the feed is synced", _E + "sequencer.recovery",
        "    sync_feed(disks.feed)\n", "", catcher="tests/simulation/test_snapshot_faults.py",
    ),
    Ablation(
        "a feed whose sync has failed is not written again", _E + "sequencer.recovery",
        "        rewrite_feed(disks.feed, first_sequence=durable, next_sequence=engine.next_sequence)\n",
        "        assert durable >= 0\n", catcher="tests/simulation/test_snapshot_faults.py",
    ),
    Ablation(
        "no checksum of the feed", _E + "feed.segment",
        "    if len(body) != (n_commands + n_events) * RECORD_BYTES or crc32c.crc32c(body) != checksum:\n",
        "    if len(body) != (n_commands + n_events) * RECORD_BYTES:\n",
    ),
    Ablation(
        "a feed is believed up to its last file", _E + "feed.writer",
        "if segment.first_sequence_of(name) <= durable_below][-1]", "][-1]",
        seeds=400,
    ),
    Ablation(
        "a feed that is written again is not synced", _E + "feed.writer",
        "        is_written_again = first_sequence < self._durable_below\n", "        is_written_again = False\n",
        catcher="tests/unit/test_recovery.py::"
        "test_a_feed_that_is_written_again_below_a_snapshot_is_durable_before_it_is_trusted",
    ),
    Ablation(
        "a file of a feed whose sync has failed is believed by the next start", _E + "feed.writer",
        "            self._disk.remove(self._kept)\n            raise\n", "            raise\n",
        catcher="tests/unit/test_recovery.py::"
        "test_a_sync_that_fails_while_a_feed_is_written_again_leaves_nothing_to_believe",
    ),
    Ablation(
        "what is not whole in a feed is written after", _E + "feed.writer",
        "            self._file.truncate(self._offset)\n", "            self._offset = self._disk.size(self._kept)\n",
    ),
    Ablation(
        "time may go back", _E + "sequencer.cycle",
        "        timestamp_ns = max(now_ns, self.engine.timestamp_ns)\n", "        timestamp_ns = now_ns\n",
    ),
    # ---- the gateway
    Ablation(
        "what waits is given up when the line is lost", _E + "gateway.pending",
        "        self._connection += 1\n",
        "        self._connection += 1\n        self.settle(is_again=False)\n",
    ),
    Ablation(
        "a barrier gives up what came after it too", _E + "gateway.pending",
        "if s.connection < connection}.values())\n", "}.values())\n", catcher="tests/unit/test_pending.py",
    ),
    Ablation(
        "the barrier of a line that is lost too counts for the next", _E + "gateway.pending",
        "isinstance(outcome, Refused) and connection == self._connection:", "isinstance(outcome, Refused):",
        catcher="tests/unit/test_pending.py",
    ),
    # ---- under load
    Ablation(
        "the reserved lane is shed", _E + "sequencer.inbox",
        "        self._add(self._reserved, unit)\n\n    def _add_close",
        "        self._add_ordinary(unit, waiting)\n\n    def _add_close", catcher=_INBOX,
    ),
    Ablation(
        "an account's turn lasts as long as it has something waiting", _E + "sequencer.lanes",
        "            elif queue.deficit < unit.size:\n", "            elif False:\n", catcher=_INBOX,
    ),
    Ablation(
        "one account may fill the ordinary lane", _E + "sequencer.inbox",
        "        if held + unit.size > self._ordinary_slots_max - self._ordinary.slots:\n",
        "        if unit.size > self._ordinary_slots_max - self._ordinary.slots:\n", catcher=_INBOX,
    ),
    Ablation(
        "a cancel overtakes the order that it cancels", _E + "sequencer.inbox",
        "            self._withdraw(named)\n", "            pass\n", catcher="tests/unit/test_inbox.py",
    ),
    Ablation(
        "what was shed for its age is taken all the same", _E + "sequencer.inbox",
        "                self._shed(unit, ShedReason.AGE)\n                continue\n",
        "                self._shed(unit, ShedReason.AGE)\n", catcher=_INBOX,
    ),
    Ablation(
        "a barrier does not wait for what came before it", _E + "sequencer.inbox",
        "            if self._before.get(number):\n", "            if False:\n", catcher=_INBOX,
    ),
    Ablation(
        "one account may take all the room of a gateway", _E + "gateway.door",
        "        if pending.held(account) + commands > self._pending_max - waiting:\n", "        if False:\n",
        catcher="tests/unit/test_door.py",
    ),
    Ablation(
        "what an account sends has no end within a turn", _E + "gateway.turns",
        "        self._over_now.add(who)\n        self._pause(connection)\n", "        self._over_now.add(who)\n",
        catcher="tests/unit/test_door.py",
    ),
    Ablation(
        "views skip what they have no account of", _E + "projections.views",
        "        self.next_event += len(batch.events)\n", "        self.next_event = 0\n",
    ),
    Ablation(
        "the signature leaves out the body", _E + "gateway.authentication",
        "target, expires.encode(), body))\n", "target, expires.encode()))\n",
        catcher="tests/unit/test_authentication.py",
    ),
    Ablation(
        "expired requests are taken", _E + "gateway.authentication",
        "    if int(expires) < now_seconds:\n", "    if False:\n", catcher="tests/unit/test_authentication.py",
    ),
    Ablation(
        "any signature is good", _E + "gateway.authentication",
        "    if not key.signs(message, signature):\n", "    if False:\n",
        catcher="tests/unit/test_authentication.py",
    ),
    Ablation(
        "a disabled key is taken", _E + "gateway.authentication",
        "    if not key.record.enabled:\n", "    if False:\n", catcher="tests/unit/test_authentication.py",
    ),
    Ablation(
        "an address that is not allowed is taken", _E + "gateway.authentication",
        "    if not key.allows_address(address):\n", "    if False:\n",
        catcher="tests/unit/test_authentication.py",
    ),
    Ablation(
        "a key without the permission is taken", _E + "gateway.authentication",
        "    if not key.allows(permission):\n", "    if False:\n",
        catcher="tests/unit/test_authentication.py",
    ),
    Ablation(
        "a setting that is missing or no good is taken for none", "ringfence.configuration.text",
        "    if wrong:\n", "    if False:\n", catcher="tests/unit/test_configuration.py",
    ),
    Ablation(
        "settings are gone by that nobody put in force", "ringfence.configuration.in_force",
        "    if in_force not in (0, written.number):\n", "    if False:\n", catcher="tests/unit/test_configuration.py",
    ),
    Ablation(
        "rules come into force that a machine does not know", "ringfence.daemons.upgrading",
        "        if known is not None and known < rules:\n", "        if False:\n", catcher="tests/unit/test_rules.py",
    ),
    Ablation(
        "an engine goes on under rules that it does not know", _K + "kernel",
        "    if kind == CONFIGURE_VENUE and brings_unknown_rules(h, cmd):\n", "    if False:\n",
        catcher="tests/unit/test_rules.py",
    ),
    Ablation(
        "a snapshot is used whose rules are not known", _K + "snapshot",
        "    if rules > RULES_NEWEST:\n", "    if False:\n", catcher="tests/unit/test_rules.py",
    ),
    # ---- the engine: orders
    Ablation(
        "no dedupe of clOrdIDs", _K + "orders",
        "    if cmd.clid != U(0) and find_clid(h, account, cmd.clid) != 0:\n", "    if False:\n",
    ),
    Ablation(
        "anybody's order may be cancelled", _K + "orders",
        "        if positions(h, orders(h, slot).position).account != account:\n", "        if False:\n",
        catcher="tests/unit/test_engine.py",
    ),
    Ablation(
        "self-trade prevention is off", _K + "matching",
        "        if o.position == index and self_trade_mode(m) != _ALLOW_SELF_TRADE:\n", "        if False:\n",
        catcher="tests/unit/test_engine.py",
    ),
    Ablation(
        "reduce-only is ignored when the position changes", _K + "matching",
        "    trim_side(h, ins, p, ORDER_SELL, max(p.qty, 0), True, _BY_REDUCE_ONLY)\n", "",
        catcher="tests/properties/test_engine_laws.py",
    ),
    Ablation(
        "a disabled account trades", _K + "orders",
        "    if m.flags & MARGIN_DISABLED:\n        return refuse(h, cmd, _R_DISABLED, 0)\n    if cmd.type",
        "    if cmd.type", catcher="tests/unit/test_engine.py",
    ),
    # ---- the engine: money
    Ablation(
        "fees go nowhere", _K + "clearing", "    ins.fee_pool += taker_fee + maker_fee\n", "",
    ),
    Ablation(
        "the funding residue is dropped", _K + "funding",
        "            margin_of(h, ins.settle, h.fund_account).wallet += left_over\n", "            pass\n",
        catcher=_RESORTS,
    ),
    Ablation(
        "a deficit is covered from nowhere", _K + "liquidation", "    fund.wallet -= amount\n", "",
        catcher=_RESORTS,
    ),
    Ablation(
        "the insurance fund may go below zero", _K + "liquidation",
        "    amount = min(-m.wallet, max(fund.wallet, 0))\n", "    amount = -m.wallet\n",
        catcher=_RESORTS,
    ),
    Ablation(
        "a settlement fee goes nowhere", _K + "settlement", "    ins.fee_pool += fee\n", "",
        catcher=_SHADOW,
    ),
    Ablation(
        "realised profit is rounded on both sides", _K + "clearing",
        "    profit = -gain if ins.kind == INVERSE else gain\n",
        "    profit = -gain if ins.kind == INVERSE else gain\n    profit -= profit % 2\n",
        catcher=_SHADOW,
    ),
    Ablation(
        "no margin is asked for", _K + "margin", "    if available(h, m) < need:\n", "    if False:\n",
        catcher=_ANYTHING,
    ),
    Ablation(
        "margin is rounded down", _K + "arithmetic",
        "        return udiv(value * ppm + (PPM - 1), PPM)\n", "        return udiv(value * ppm, PPM)\n",
        catcher=_ANYTHING,
    ),
    Ablation(
        "no risk limit", _K + "margin", "    if worst_exposure(p, buys, sells) > min(limit, POSITION_COST_MAX):\n",
        "    if False:\n", catcher="tests/unit/test_engine.py",
    ),
    Ablation(
        "more may be withdrawn than there is", _K + "settings",
        "        return refuse(h, cmd, _R_AMOUNT, 0)\n    if withdrawable(h, m) < cmd.qty:\n"
        "        return refuse(h, cmd, _R_BALANCE, cmd.qty)\n    m.wallet -= cmd.qty\n    if is_of_chain",
        "        return refuse(h, cmd, _R_AMOUNT, 0)\n    m.wallet -= cmd.qty\n    if is_of_chain",
        catcher=_ANYTHING,
    ),
    Ablation(
        "coins move between families", _K + "settings",
        "    if account == other or not (is_custody or family_of(h, account) == family_of(h, other)):\n",
        "    if account == other:\n",
    ),
    Ablation(
        "a transfer does not arrive", _K + "settings", "    to.wallet += cmd.qty\n", "",
    ),
    Ablation(
        "custody's instructions are taken in any order", _K + "settings",
        "    return bool(np.int64(cmd.px) != h.instruction_next)\n", "    return False\n",
        catcher="tests/scenarios/test_custody_funds.py",
    ),
    # ---- custody
    Ablation(
        "a co-signer signs what it was not drawn for", "ringfence.custody.cosigner.checks",
        "    if me not in quorum:\n", "    if not quorum:\n", catcher=_theft("who_was_not_drawn_does_not_sign"),
    ),
    Ablation(
        "the evidence of the other HSMs is not looked at", "ringfence.custody.cosigner.checks",
        "        try:\n            check_evidence(\n", "        try:\n            (lambda *a, **k: None)(\n",
        catcher=_theft("evidence_of_another_transaction_or_another_day"),
    ),
    Ablation(
        "the policy's verdicts are not heeded", "ringfence.custody.cosigner.checks",
        "    denied = [row for row in rows if not row.allows]\n", "    denied = rows[:0]\n",
        catcher=_theft("dmm_bitcoin_2024_a_request_that_was_never_made"),
    ),
    Ablation(
        "a deposit address counts as change", "ringfence.custody.cosigner.bitcoin_rail",
        "        return mine.owner.text if mine is not None and mine.keychain == Keychain.CHANGE else \"\"\n",
        "        return mine.owner.text if mine is not None else \"\"\n",
        catcher=_theft("change_goes_to_the_deposit_address_of_an_accomplice"),
    ),
    Ablation(
        "the token is not held against what was enrolled", "ringfence.custody.cosigner.cosigner",
        "        if found != self._me.baseline:\n", "        if found is None:\n",
        catcher=_theft("softhsm_files_are_touched"),
    ),
    Ablation(
        "a batch is sealed as often as one likes", "ringfence.custody.cosigner.cosigner",
        "        elif known != digest:\n", "        elif not known:\n",
        catcher=_theft("one_batch_has_two_seals_with_witnesses_for_each"),
    ),
    Ablation(
        "a contribution may be left out", "ringfence.custody.cosigner.checks",
        "(*question.late, *nomination.withheld))\n", "question.late)\n",
        catcher=_theft("contributions_are_left_out_until_the_quorum_suits"),
    ),
    Ablation(
        "what is signed is not written down first", "ringfence.custody.cosigner.cosigner",
        "        self._write(\"signed\", body)\n", "        assert body\n",
        catcher=_theft("mt_gox_2011_bitgrail_2018_paid_twice"),
    ),
    Ablation(
        "anybody may ask a co-signer", "ringfence.custody.cosigner.cosigner",
        "        if not is_coordinator:\n", "        if is_coordinator is None:\n", catcher=_theft("a_stranger_asks"),
    ),
    Ablation(
        "anybody signs for a client", "ringfence.custody.clients",
        "        if not signs(key, text, said.signature):\n", "        if not said.signature:\n", catcher=_CLIENTS,
    ),
    Ablation(
        "a client's signature counts as often as one likes", "ringfence.custody.clients",
        "        if said.nonce <= client.nonce:\n            return _old_nonce(client)\n        if not signs(key",
        "        if not signs(key", catcher=_CLIENTS,
    ),
    Ablation(
        "a withdrawal key is replaced without its consent at once", "ringfence.custody.clients",
        "            if not client.key or said.consent:\n", "            if True:\n", catcher=_CLIENTS,
    ),
    Ablation(
        "a client who has not signed is paid", "ringfence.custody.policy.rules.p29_own_signature",
        "        return signed, f", "        return True, f",
        catcher=_theft("the_owner_of_all_servers_asks_in_the_name_of_a_client"),
    ),
    Ablation(
        "nobody asks the nominee that is said to be silent", "ringfence.custody.cosigner.cosigner",
        "        self._check_silent(question.who, sealed.height)\n", "        assert sealed.height\n",
        catcher=_theft("a_coordinator_lets_the_time_of_a_nominee_pass"),
    ),
    Ablation(
        "a new policy waits from the date that is written below it", "ringfence.custody.cosigner.policies",
        "announced_ns=pending.heard_ns)\n", "announced_ns=pending.document.announced_ns)\n",
        catcher="tests/unit/test_policy_versions.py",
    ),
    # ---- the engine: what the rules do to holders
    Ablation(
        "a stale mark liquidates", _K + "marking", "    return bool(h.timestamp_ns - ins.marked_ns > STALE_NS)\n",
        "    return False\n", catcher="tests/scenarios",
    ),
    Ablation(
        "the last one in the queue is deleveraged first", _K + "deleveraging",
        "    return bool(x.key > y.key or (x.key == y.key and x.position < y.position))\n",
        "    return bool(x.key < y.key or (x.key == y.key and x.position < y.position))\n",
        catcher="tests/scenarios",
    ),
    Ablation(
        "the losing side is deleveraged", _K + "deleveraging",
        "or (p.qty > 0) == (fp.qty > 0):\n", "or (p.qty > 0) != (fp.qty > 0):\n", catcher="tests/scenarios",
    ),
    Ablation(
        "a post-only order takes", _K + "orders",
        "        if flags & _POST:\n            reason = np.int64(_BY_POST_ONLY)\n",
        "        if False:\n            reason = np.int64(_BY_POST_ONLY)\n", catcher="tests/unit/test_engine.py",
    ),
    Ablation(
        "fill-or-kill fills a part", _K + "orders",
        "        elif flags & _FOK and not fillable(h, ins, index, sell, px, qty, skips_own(m)):\n"
        "            reason = np.int64(_BY_FOK)\n        else:\n"
        "            rest, reason = execute(h, ins, m, p, index, handle,",
        "        else:\n            rest, reason = execute(h, ins, m, p, index, handle,",
        catcher="tests/unit/test_engine.py",
    ),
    Ablation(
        "a stop is triggered twice", _K + "stops", "            t.reference = now\n", "            pass\n",
        catcher="tests/scenarios",
    ),
    Ablation(
        "no collar", _K + "orders", "    return bool(pick(sell, px < down, px > up))\n", "    return False\n",
        catcher=_ANYTHING,
    ),
    Ablation(
        "a take-over forgets the insurance account's half", _K + "liquidation",
        "    fill(h, ins, fm, fp, fund_index, 1 - sell, qty, value)\n", "",
        catcher=_SHADOW,
    ),
    Ablation(
        "liquidation waits for nothing to be left", _K + "liquidation",
        "    return found | CROSS if without_coins_for_sale(h, m, free) + made < needed else found\n",
        "    return found | CROSS if without_coins_for_sale(h, m, free) + made < 0 else found\n",
        catcher="tests/scenarios",
    ),
    Ablation(
        "funding is paid twice as often as it is due", _K + "funding",
        "    ins.premium_sum_e8 = ins.premium_count = 0\n"
        "    ins.next_funding_ns = next_funding(ins, h.timestamp_ns)\n",
        "    ins.premium_sum_e8 = ins.premium_count = 0\n"
        "    ins.next_funding_ns = h.timestamp_ns + ins.funding_interval_ns // 2\n",
        catcher="tests/scenarios",
    ),
)  # fmt: skip
