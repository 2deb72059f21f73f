"""Whom the console asks: the coordinator's desk, the co-signers, and the core, to which it may say two things alone."""

import asyncio
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.assurance.halting import ResumeStatement
from ringfence.commitments import Root, RootError, latest_roots
from ringfence.console.outside import NotDoneError, Row
from ringfence.console.sent import check_sent
from ringfence.console.server import Surroundings
from ringfence.custody.cosigner.config import Charter
from ringfence.custody.quorum.mpc.keys import KeyRecord, SignedOrder
from ringfence.custody.quorum.wire import Asked, Told
from ringfence.daemons import halts
from ringfence.daemons.admin import Admin, AdminRefused, AdminTimeout
from ringfence.daemons.ceremonies import CeremonyError, hold, read_transcript, transcript_path
from ringfence.daemons.cosigner_client import CosignerClient
from ringfence.daemons.custody_ports import read_ports
from ringfence.daemons.venue import read_venue
from ringfence.lines import NoAnswerError, ask
from ringfence.messages.batch import Records
from ringfence.messages.commands import ALL_ASSETS, HaltScope, TradingState
from ringfence.messages.halts import Reason, Signature
from ringfence.ports import HOST
from ringfence.units.assets import BY_CURRENCY
from ringfence.units.time import iso

ASKS_AS = "console"
"""In the custody folder: the certificate under which co-signers know the console."""
_DESK_SECONDS, _SIGNERS_SECONDS = 15.0, 10.0


class ConsoleOutside:
    """As `console.outside.Outside` wants it. Nothing here signs; the certificate opens lines and no more."""

    def __init__(self, directory: Path, charter: Charter, surroundings: Surroundings) -> None:
        """Raises OSError, ValueError."""
        self._directory, self._charter, self._around = directory, charter, surroundings
        self._venue = (directory / "roots" / "venue.pub").read_text().strip()
        self._ports = read_ports(directory).cosigners
        addresses = {name: (HOST, port) for name, port in self._ports.items()}
        self._client = CosignerClient(directory / "custody", addresses, asks_as=ASKS_AS)

    @property
    def venue(self) -> str:
        return self._venue

    # ---- custody

    async def desk(self, **question: Any) -> Row:
        try:
            said = await ask(
                self._directory / "custody" / "desk.sock", {"id": 1, **question}, seconds=_DESK_SECONDS
            )
        except NoAnswerError as error:
            raise NotDoneError(f"the coordinator does not answer: {error}") from error
        if "error" in said:
            raise NotDoneError(str(said["error"]))
        return said

    async def signers(self, question: Asked, *, only: str = "") -> dict[str, Told | None]:
        names = [name for name in self._ports if only in ("", name)]
        answers = await asyncio.gather(
            *(self._client.ask(name, question, seconds=_SIGNERS_SECONDS) for name in names)
        )
        return dict(zip(names, answers, strict=True))

    def record_of(self, key: str) -> KeyRecord | None:
        path = transcript_path(self._directory, key)
        if not key.replace("-", "").isalnum() or not path.exists():
            return None
        try:
            return read_transcript(path).record
        except CeremonyError as error:
            raise NotDoneError(str(error)) from error

    async def hold(self, order: SignedOrder, record: KeyRecord | None) -> KeyRecord:
        name, parties = order.order.key, order.order.parties
        row: Row = {
            "key": name,
            "what": order.order.what,
            "epoch": order.order.epoch,
            "steps": dict.fromkeys(parties, "asked"),
        }
        self._around.running[name] = row

        def heard(party: str, step: str) -> None:
            row["steps"][party] = step

        try:
            return await hold(self._directory, self._charter, order, record, asks_as=ASKS_AS, heard=heard)
        except (CeremonyError, OSError, ValueError) as error:
            raise NotDoneError(str(error)) from error
        finally:
            del self._around.running[name]

    # ---- the core

    async def halt(
        self, scope: HaltScope, target: int, reason: Reason, *, state: TradingState, operator: str
    ) -> int:
        return await self._send(halts.halt(halts.Target(scope, target), reason, state=state), operator)

    async def resume(self, statement: ResumeStatement, signatures: list[Signature], *, operator: str) -> int:
        return await self._send(halts.resume(self._directory, statement, signatures), operator)

    async def _send(self, records: Records, operator: str) -> int:
        """The one way from the console to the core. Raises NotDoneError, NotOursError."""
        check_sent(records)
        admin = Admin(self._directory)
        try:
            await admin.connect()
            events = await admin.ask(records, operator=operator)
        except (AdminRefused, AdminTimeout, OSError) as error:
            raise NotDoneError(str(error) or "the core does not answer") from error
        finally:
            admin.close()
        return int(events[0]["sequence"])

    def newest_root(self) -> Root | None:
        roots = latest_roots(self._directory / "roots" / "chain.roots")
        if not roots:
            return None
        try:
            roots[0].check_signature(Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.venue)))
        except RootError as error:
            raise NotDoneError(str(error)) from error
        return roots[0]

    def number_of(self, scope: HaltScope, of: str) -> int:
        if scope == HaltScope.CONTRACT:
            venue = read_venue(self._directory)
            for instrument in venue.instruments if venue else ():
                if instrument.symbol == of and instrument.is_contract:
                    return instrument.number
            raise NotDoneError(f"there is no contract {of}; nothing was sent")
        if scope in (HaltScope.DEPOSITS, HaltScope.WITHDRAWALS):
            if of == "all":
                return ALL_ASSETS
            if of not in BY_CURRENCY:
                raise NotDoneError(f"there is no currency {of}; nothing was sent")
            return BY_CURRENCY[of].number
        return 0


def transcript_rows(directory: Path) -> list[Row]:
    """Return the newest ceremony of every key, for people; one that cannot be read is left out."""
    rows = []
    for path in sorted((directory / "custody" / "keys").glob("*.json")):
        if path.name.count(".") > 1:
            continue  # an earlier one, kept beside
        try:
            read = read_transcript(path)
        except CeremonyError:
            continue
        order = read.signed.order
        rows.append({
            "key": order.key, "what": str(order.what), "scheme": str(order.scheme), "epoch": read.record.epoch,
            "threshold": order.threshold, "at": iso(order.at_ns), "publicKey": read.record.public_key,
            "orderedBy": [name for name, _ in read.signed.signatures],
            "ready": [one.signer for one in read.ready], "adopted": [one.signer for one in read.adopted],
        })  # fmt: skip
    return rows
