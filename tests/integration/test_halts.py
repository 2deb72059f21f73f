"""A halt as traders, operators and signers meet it: real core, real gateway, real signatures."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from ringfence.assurance.halting import (
    ChecksReport,
    People,
    ResumeStatement,
    Role,
    SignedChecks,
    new_private_key,
    person_of,
    sign,
)
from ringfence.commitments import Proof, latest_roots, leaf_of, load_keys, read_roots
from ringfence.commitments.root import decode_root
from ringfence.commitments.statement import read_statement
from ringfence.daemons import founding, halts
from ringfence.daemons.admin import Admin, AdminRefused, command
from ringfence.daemons.probe import core_sequence
from ringfence.messages.commands import Command, MissedFunding, VenueParameter
from ringfence.messages.halts import Reason, Scheme, Signature
from ringfence.testing.client import Client
from ringfence.testing.socket import Socket
from ringfence.testing.venue import Venue
from ringfence.units.time import NS_PER_SECOND

KEYS = {
    ("anna", Role.OPERATIONS): new_private_key(Scheme.ED25519),
    ("bert", Role.RISK): new_private_key(Scheme.ECDSA_P256),
    ("auditor", Role.JUDGE): new_private_key(Scheme.ED25519),
}
PEOPLE = People(tuple(person_of(name, role, key) for (name, role), key in KEYS.items()))
ANNA, BERT = ("anna", Role.OPERATIONS), ("bert", Role.RISK)
REASON = Reason(by="auditor", law="I03", what="Positions do not sum to zero", expected="0", found="1", cut=9)


@pytest.fixture(scope="module")
def halted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    folder: Path = tmp_path_factory.mktemp("halts")
    with Venue(folder, accounts=3) as running:
        parameter = VenueParameter.CANCEL_ONLY_NS
        asyncio.run(_ask(running, np.concatenate([
            founding.put_in_force(PEOPLE),
            command(Command.CONFIGURE_VENUE, type=parameter, qty=NS_PER_SECOND),
        ])))  # fmt: skip
        yield running


async def _ask(venue: Venue, records: Any) -> int:
    admin = Admin(venue.directory)
    await admin.connect()
    try:
        return int((await admin.ask(records, operator="test"))["sequence"][0])
    finally:
        admin.close()


async def _until(ask: Callable[[], Any]) -> Any:
    for _ in range(100):
        if found := ask():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError("nothing came")


async def _draft(venue: Venue, halt: int) -> ResumeStatement:
    """Return the statement for a root that was made after the halt, with the auditor's report beside it."""
    await _ask(venue, command(Command.TICK))
    chain = venue.directory / "roots" / "chain.roots"
    await _until(lambda: latest_roots(chain)[0].sequence > halt + 1)
    said = halts.draft(venue.directory, halts.VENUE, halt=halt, funding=MissedFunding.PAY, cause="a test")
    _report(venue, said)
    return said


def _report(venue: Venue, said: ResumeStatement, *, red: int = 0) -> None:
    report = ChecksReport(said.venue, said.sequence, said.accounts_root, time.time_ns(), 20, red)
    signature = Signature("auditor", "judge", sign(KEYS["auditor", Role.JUDGE], report.text.encode()).hex())
    folder = venue.directory / "judges"
    folder.mkdir(exist_ok=True)
    (folder / "auditor.checks.json").write_bytes(msgspec.json.encode(SignedChecks(*report, judge=signature)))


async def _resume(venue: Venue, said: ResumeStatement, *signers: tuple[str, Role]) -> int:
    signatures = [
        Signature(name, role, sign(KEYS[name, role], said.text.encode()).hex()) for name, role in signers
    ]
    return await _ask(venue, halts.resume(venue.directory, said, signatures))


async def test_a_halt_stops_everybody_is_told_and_only_two_people_lift_it(halted: Venue) -> None:
    anyone, alice = Client(halted.port, None), Client(halted.port, 1)
    public = await Socket.open(halted.realtime_url)
    await public.subscribe("halt", "instrument:XBTUSD")
    placed = alice.place(orderQty=100, price=9_990).value
    halt = await _ask(halted, halts.halt(halts.VENUE, REASON))

    # Everybody is told, and nothing moves.
    frame = await public.until(lambda frame: frame.get("table") == "halt" and frame["action"] == "insert")
    (row,) = frame["data"]
    assert (row["state"], row["law"], row["by"], row["found"]) == ("Halted", "I03", "auditor", "1")
    await public.until(
        lambda frame: frame.get("table") == "instrument" and frame["data"][0].get("state") == "Halted"
    )
    status = anyone.get("/halt/status")
    assert status["state"] == "Halted"
    assert [one["halt"] for one in status["halted"]] == [halt]
    assert alice.place(orderQty=100, price=9_990).error == "Market is not open"
    refused = alice.call("DELETE", "/order", {"orderID": placed["orderID"]})
    assert refused.error == "Trading is halted"
    assert anyone.get("/halt/people")["number"] == str(PEOPLE.number)

    # It takes two people of different roles, a fresh state and content judges.
    said = await _draft(halted, halt)
    for signers, why in ((), "2 people"), ((ANNA,), "2 people"), ((ANNA, ANNA), "2 people"):
        with pytest.raises(AdminRefused, match=why):
            await _resume(halted, said, *signers)
    _report(halted, said, red=1)
    with pytest.raises(AdminRefused, match="1 checks are red"):
        await _resume(halted, said, ANNA, BERT)
    _report(halted, said)
    with pytest.raises(AdminRefused, match=r"before the halt|committed to lately"):
        await _resume(halted, said._replace(sequence=halt - 1), ANNA, BERT)
    assert anyone.get("/halt/status")["state"] == "Halted"

    # A killed core is as halted as before.
    halted.kill("core")
    halted.start("core")
    while await core_sequence(halted.directory) is None:
        await asyncio.sleep(0.1)
    assert anyone.get("/halt/status")["state"] == "Halted"

    said = await _draft(halted, halt)
    await _resume(halted, said, ANNA, BERT)
    await _until(lambda: anyone.get("/halt/status")["state"] == "Running")
    history = anyone.get("/halt?count=100")
    assert [one["state"] for one in history] == ["Halted", "CancelOnly", "Running"]
    assert history[1]["by"] == "anna (operations), bert (risk)"
    assert alice.place(orderQty=100, price=9_990).status == 200
    with pytest.raises(AdminRefused, match="last one is"):
        await _resume(halted, said._replace(halt=halt - 1), ANNA, BERT)
    public.close()


async def test_an_account_proves_that_it_is_under_a_signed_root(halted: Venue) -> None:
    alice = Client(halted.port, 1)
    alice.place(orderQty=100, price=9_980)
    wanted = {order["orderID"] for order in alice.get("/order?filter=%7B%22open%22%3Atrue%7D")}

    def proof() -> Any:
        answer = alice.call("GET", "/user/stateProof")
        found = answer.value if answer.status == 200 else None
        return (
            found
            if found and len(read_statement(bytes.fromhex(found["statement"])).orders) == len(wanted)
            else None
        )

    await _ask(halted, command(Command.TICK))
    await asyncio.sleep(5)
    await _ask(halted, command(Command.TICK))
    found = await _until(proof)
    statement = read_statement(bytes.fromhex(found["statement"]))
    assert statement.account == 1
    assert statement.wallets[0].wallet == alice.get("/user/margin")["walletBalance"]
    root = decode_root(bytes.fromhex(found["record"]))
    root.check_signature(load_keys(halted.directory).signing.public_key())
    way = Proof(found["place"], found["leaves"], tuple(bytes.fromhex(one) for one in found["path"]))
    leaf = leaf_of(bytes.fromhex(found["nonce"]), bytes.fromhex(found["statement"]))
    assert way.holds(leaf, root.accounts_root)
    assert Client(halted.port, None).call("GET", "/user/stateProof").status == 401


def test_the_chain_of_roots_is_whole_across_restarts(halted: Venue) -> None:
    key = load_keys(halted.directory).signing.public_key()
    roots = list(read_roots(halted.directory / "roots" / "chain.roots", key))
    assert len(roots) >= 3
    assert [root.sequence for root in roots] == sorted({root.sequence for root in roots})
    (newest,) = Client(halted.port, None).get("/stateRoot")
    assert newest["sequence"] >= roots[-1].sequence
