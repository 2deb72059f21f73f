"""A key from its creation to its last epoch: who can sign with it, who cannot, and what is left of old shares."""

import asyncio
import hashlib
import itertools
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from ringfence.custody.cosigner.checks import RefusalError
from ringfence.custody.demonstration import PLACES
from ringfence.custody.hsm import HsmError
from ringfence.custody.quorum.mpc.engine import ProtocolAbort, Scheme, is_signature, recovered_key
from ringfence.custody.quorum.mpc.keys import (
    Adopt,
    Conduct,
    KeyRecord,
    TranscriptError,
    What,
    check_transcript,
)
from ringfence.custody.quorum.mpc.shares import Kept, ShareError
from ringfence.testing.mpc import THRESHOLD, Circle, MpcHardware

NAMES = tuple(PLACES)
MESSAGE = hashlib.sha256(b"a message").digest()
FOUR = NAMES[:4]


@pytest.mark.parametrize("scheme", list(Scheme))
async def test_whoever_has_two_of_operations_and_one_of_policy_among_four_signs(
    circle: Circle, scheme: Scheme
) -> None:
    record = await circle.create("hot", scheme)
    for four in itertools.combinations(NAMES, THRESHOLD):
        assert sum(name.startswith("ops") for name in four) >= 2
        assert sum(name.startswith("policy") for name in four) >= 1
        signed = await circle.sign(record, MESSAGE, four)
        for one in signed:
            assert is_signature(scheme, bytes.fromhex(record.public_key), MESSAGE, one.signature)
            if scheme == Scheme.ECDSA:
                assert recovered_key(MESSAGE, one.signature, one.recovery_id).hex() == record.public_key
        assert len({one.signature for one in signed}) == 1
    for few in itertools.combinations(NAMES, THRESHOLD - 1):
        with pytest.raises(RefusalError, match="4 of the key's parties sign"):
            await circle.sign(record, MESSAGE, few)
    with pytest.raises(RefusalError, match="not nominated"):
        await circle.parties[NAMES[4]].party.sign(circle.task(record, MESSAGE, FOUR))


async def test_a_refresh_changes_every_share_and_no_key(circle: Circle, tmp_path: Path) -> None:
    record = await circle.create("hot", Scheme.ED25519)
    before = circle.parties["ops-1"]
    old = before.vault.share(Kept("hot", 1, is_in_force=True))
    shutil.copytree(before.folder / "shares", tmp_path / "copy")

    after = await circle.refresh(record)
    assert (after.public_key, after.epoch) == (record.public_key, 2)
    assert after.package != record.package
    assert before.vault.share(Kept("hot", 2, is_in_force=True)) != old
    await circle.sign(after, MESSAGE, FOUR)
    with pytest.raises(RefusalError, match="epoch 1 of hot is not in force, 2 is"):
        await circle.sign(record, MESSAGE, FOUR)

    # What the old file was sealed under is destroyed, and a folder from before is older than the counter.
    with pytest.raises(HsmError, match=r"no secret key share\.hot\.1"):
        before.vault._token.unseal("share.hot.1", b"\0" * 60, bound_to=b"")
    shutil.rmtree(before.folder / "shares")
    shutil.copytree(tmp_path / "copy", before.folder / "shares")
    with pytest.raises(ShareError, match="an old copy was brought back"):
        before.restart()


async def test_an_old_share_among_new_ones_is_worth_nothing(circle: Circle) -> None:
    """The revoked party kept a plaintext of its share; three others have refreshed theirs."""
    record = await circle.create("hot", Scheme.ED25519)
    revoked = circle.parties["ops-3"]
    kept = revoked.vault.share(Kept("hot", 1, is_in_force=True))
    after = await circle.refresh(record)
    revoked.vault.share = lambda of: kept  # type: ignore[method-assign]
    with pytest.raises(ProtocolAbort):
        await circle.sign(after, MESSAGE, ("ops-1", "ops-2", "ops-3", "policy-1"))
    await circle.sign(after, MESSAGE, ("ops-1", "ops-2", "policy-1", "policy-2"))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", list(Scheme))
async def test_a_place_whose_share_is_lost_gets_it_back_from_the_others(
    circle: Circle, scheme: Scheme
) -> None:
    record = await circle.create("hot", scheme)
    before = circle.parties["ops-2"].vault.share(Kept("hot", 1, is_in_force=True))
    lost = circle.parties["policy-2"]
    lost.lose_everything()
    with pytest.raises(RefusalError, match="has no share"):
        await circle.parties["policy-2"].party.sign(circle.task(record, MESSAGE, NAMES[1:]))

    await circle.hold(circle.order(What.RESTORE, "hot", scheme, target="policy-2"), record=record)
    after = await circle.refresh(record)
    assert after.public_key == record.public_key
    await circle.sign(after, MESSAGE, NAMES[1:])

    # What others had before fits the new shares no more.
    old = circle.parties["ops-2"].vault
    old.share = lambda kept: before  # type: ignore[method-assign]
    with pytest.raises(ProtocolAbort):
        await circle.sign(after, MESSAGE, FOUR)


async def test_nobody_is_told_a_share_that_is_restored_under_another_record(circle: Circle) -> None:
    record = await circle.create("hot", Scheme.ED25519)
    other = await circle.create("other", Scheme.ED25519)
    circle.parties["policy-2"].lose_everything()
    forged = KeyRecord(
        **{**{f: getattr(record, f) for f in record.__struct_fields__}, "package": other.package}
    )
    order = circle.order(What.RESTORE, "hot", Scheme.ED25519, target="policy-2")
    answers = await asyncio.gather(
        *(one.party.conduct(Conduct(order, forged)) for one in circle.parties.values()),
        return_exceptions=True,
    )
    target = answers[NAMES.index("policy-2")]
    if not isinstance(target, Exception):
        with pytest.raises(RefusalError, match="not come to the same key"):
            circle.parties["policy-2"].party.adopt(Adopt(order, tuple(answers)))  # type: ignore[arg-type]


# ---- who orders, and what is refused


async def test_orders_need_two_people_and_parameters_that_keep_duties_apart(circle: Circle) -> None:
    party = circle.parties["ops-1"].party

    async def refused(match: str, **of: object) -> None:
        order = circle.order(What.CREATE, "hot", Scheme.ED25519, **of)  # type: ignore[arg-type]
        with pytest.raises(RefusalError, match=match):
            await party.conduct(Conduct(order, None))

    await refused("people of different groups", by=("custody-anna",))
    await refused("people of different groups", by=())
    # Three of five may be operations alone; two may be anybody.
    await refused("without operations' two or without policy's one", threshold=3)
    await refused("there is a key hot already", epoch=2)
    old = circle.order(What.CREATE, "hot", Scheme.ED25519)
    circle.now_ns += 31 * 60 * 10**9
    with pytest.raises(RefusalError, match="not of the last 30 minutes"):
        await party.conduct(Conduct(old, None))


async def test_an_order_is_carried_out_once(circle: Circle) -> None:
    order = circle.order(What.CREATE, "hot", Scheme.ED25519)
    transcript = await circle.hold(order)
    with pytest.raises(RefusalError, match="begun before"):
        await circle.parties["ops-1"].party.conduct(Conduct(order, None))
    again = circle.order(What.CREATE, "hot", Scheme.ED25519)
    with pytest.raises(RefusalError, match="there is a key hot already"):
        await circle.parties["ops-1"].party.conduct(Conduct(again, None))
    # Adopting is told again, and says the same.
    said = circle.parties["ops-1"].party.adopt(Adopt(order, transcript.ready))
    assert said.digest == transcript.adopted[0].digest


async def test_a_transcript_of_which_anything_was_changed_is_none(
    circle: Circle, hardware: MpcHardware
) -> None:
    whole = await circle.hold(circle.order(What.CREATE, "hot", Scheme.ED25519))
    first, receipt = whole.ready[0], whole.adopted[0]
    for changed in (
        replace(whole, ready=whole.ready[1:]),
        replace(whole, adopted=whole.adopted[1:]),
        replace(
            whole, ready=(replace(first, record=replace(first.record, public_key="00")), *whole.ready[1:])
        ),
        replace(whole, ready=(replace(first, signature=whole.ready[1].signature), *whole.ready[1:])),
        replace(whole, adopted=(replace(receipt, erased=7), *whole.adopted[1:])),
        replace(whole, signed=replace(whole.signed, order=replace(whole.signed.order, nonce="x"))),
    ):
        with pytest.raises(TranscriptError):
            check_transcript(changed, hardware.verify)


# ---- deaths


async def test_a_party_that_dies_between_being_ready_and_adopting_goes_on(circle: Circle) -> None:
    order = circle.order(What.CREATE, "hot", Scheme.ED25519)
    ready = await asyncio.gather(
        *(one.party.conduct(Conduct(order, None)) for one in circle.parties.values())
    )
    dead = circle.parties["ops-2"]
    dead.restart()
    assert (await dead.party.conduct(Conduct(order, None))).digest == ready[1].digest
    for one in circle.parties.values():
        one.party.adopt(Adopt(order, tuple(ready)))
        one.restart()
    await circle.sign(ready[0].record, MESSAGE, FOUR)


async def test_a_party_that_dies_within_a_run_lets_the_others_order_anew(circle: Circle) -> None:
    circle.hasten(1.0)
    circle.change = lambda sender, to, one: None if "ops-2" in (sender, to) and one.round == 2 else one
    order = circle.order(What.CREATE, "hot", Scheme.ED25519)
    answers = await asyncio.gather(
        *(one.party.conduct(Conduct(order, None)) for one in circle.parties.values()), return_exceptions=True
    )
    assert all(isinstance(one, ProtocolAbort) for one in answers)
    circle.change = lambda sender, to, one: one
    circle.parties["ops-2"].restart()
    with pytest.raises(RefusalError, match="come to nothing"):
        await circle.parties["ops-2"].party.conduct(Conduct(order, None))
    record = await circle.create("hot", Scheme.ED25519)
    await circle.sign(record, MESSAGE, FOUR)


async def test_a_refresh_that_not_everybody_is_ready_for_leaves_the_old_epoch_in_force(
    circle: Circle,
) -> None:
    record = await circle.create("hot", Scheme.ED25519)
    order = circle.order(What.REFRESH, "hot", Scheme.ED25519, epoch=2)
    ready = await asyncio.gather(
        *(one.party.conduct(Conduct(order, None)) for one in circle.parties.values())
    )
    with pytest.raises(RefusalError, match="all have to be"):
        circle.parties["ops-1"].party.adopt(Adopt(order, tuple(ready[:4])))
    for one in circle.parties.values():
        one.restart()
    await circle.sign(record, MESSAGE, FOUR)
    after = await circle.refresh(record)  # the one that waited is thrown away
    await circle.sign(after, MESSAGE, FOUR)
