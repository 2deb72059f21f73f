"""The venue is halted: nothing moves, one person alone lifts nothing, two people of different roles do."""

import asyncio
import time
from pathlib import Path

import msgspec
import numpy as np
from staging import Runbook, main, ringfence

from ringfence.assurance.halting import (
    ChecksReport,
    People,
    Role,
    SignedChecks,
    new_private_key,
    person_of,
    sign,
)
from ringfence.assurance.halting.people import PrivateKey
from ringfence.commitments import latest_roots
from ringfence.daemons import founding, halts
from ringfence.daemons.admin import Admin, AdminRefused, command
from ringfence.messages.batch import Records
from ringfence.messages.commands import Command, MissedFunding, VenueParameter
from ringfence.messages.halts import Scheme, Signature
from ringfence.testing.client import Client
from ringfence.testing.venue import Venue
from ringfence.units.time import NS_PER_SECOND

Keys = dict[tuple[str, Role], PrivateKey]


def run(book: Runbook, folder: Path) -> None:
    keys: Keys = {
        (name, role): new_private_key(Scheme.ED25519)
        for name, role in (("anna", Role.OPERATIONS), ("bert", Role.RISK), ("auditor", Role.JUDGE))
    }
    people = People(tuple(person_of(name, role, key) for (name, role), key in keys.items()))
    with Venue(folder / "exchange", accounts=1) as venue:
        soon = command(Command.CONFIGURE_VENUE, type=VenueParameter.CANCEL_ONLY_NS, qty=NS_PER_SECOND)
        _ask(venue, np.concatenate([founding.put_in_force(people), soon]))
        client = Client(venue.port, 1)
        book.check(client.place(orderQty=100, price=9_000).status == 200, "it trades")
        because = ["--because", "a drill", "--operator", "anna", "--directory", str(venue.directory)]
        done = ringfence("halt", "now", *because)
        book.check(done.returncode == 0, "`ringfence halt now` halts")
        halt = client.get("/halt/status")["halted"][0]["halt"]
        book.check(client.place(orderQty=100, price=9_000).status == 400, "no order is taken")
        book.step("a statement is drafted for a state after the halt, and the auditor's checks are green")
        _ask(venue, command(Command.TICK))
        until = time.monotonic() + 60
        while latest_roots(venue.directory / "roots" / "chain.roots")[0].sequence <= halt + 1:
            if time.monotonic() > until:
                raise TimeoutError("no root was made after the halt")
            time.sleep(0.1)
        said = halts.draft(
            venue.directory, halts.VENUE, halt=halt, funding=MissedFunding.PAY, cause="a drill"
        )
        report = ChecksReport(said.venue, said.sequence, said.accounts_root, time.time_ns(), 20, 0)
        judge = Signature("auditor", "judge", sign(keys["auditor", Role.JUDGE], report.text.encode()).hex())
        (venue.directory / "judges").mkdir(exist_ok=True)
        checks = msgspec.json.encode(SignedChecks(*report, judge=judge))
        (venue.directory / "judges" / "auditor.checks.json").write_bytes(checks)
        anna, bert = (
            Signature(name, role, sign(keys[name, role], said.text.encode()).hex())
            for name, role in (("anna", Role.OPERATIONS), ("bert", Role.RISK))
        )
        try:
            _ask(venue, halts.resume(venue.directory, said, [anna]))
        except AdminRefused:
            book.check(True, "one person lifts nothing")
        else:
            book.check(False, "one person lifts nothing")
        _ask(venue, halts.resume(venue.directory, said, [anna, bert]))
        while client.place(orderQty=100, price=9_000).status != 200:
            if time.monotonic() > until + 60:
                raise TimeoutError("it does not trade although two people have lifted the halt")
            time.sleep(0.1)
        book.check(True, "two people of different roles do, and it trades again")


def _ask(venue: Venue, records: Records) -> None:
    async def ask() -> None:
        admin = Admin(venue.directory)
        await admin.connect()
        try:
            await admin.ask(records, operator="drill")
        finally:
            admin.close()

    asyncio.run(ask())


if __name__ == "__main__":
    main(run)
