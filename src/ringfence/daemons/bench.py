"""A judge's bench: what every judging process has. It reads roots, reports, signs what it found, and halts.

judges/NAME.pem            its key, which signs that all is well and nothing else
judges/NAME.report.json    its latest report, served at /audit
judges/NAME.checks.json    the same in few figures, signed: what a RESUME has to bring along
judges/dumps/              the evidence of each halt
"""

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.assurance.halting import ChecksReport, Role, SignedChecks, read_private_key, sign
from ringfence.commitments import Root, read_roots
from ringfence.daemons import halts
from ringfence.daemons.admin import Admin, AdminRefused, AdminTimeout
from ringfence.files import replace
from ringfence.messages.commands import TradingState
from ringfence.messages.halts import Reason, Signature
from ringfence.units.time import iso

log = logging.getLogger(__name__)
_FIELD_MAX = 300


class Finding(NamedTuple):
    """What a judge has found: a law, where, and both values."""

    law: str
    what: str
    expected: str
    found: str
    sequence: int
    target: halts.Target = halts.VENUE


class Bench:
    def __init__(self, directory: Path, name: str) -> None:
        """Raises OSError, ValueError if the judge has no key or the venue has no roots yet."""
        self._directory, self.name = directory, name
        self._key = read_private_key(directory / "judges" / f"{name}.pem", passphrase=None)
        self.venue = (directory / "roots" / "venue.pub").read_text().strip()
        self._public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.venue))
        self._chain = directory / "roots" / "chain.roots"
        self._roots_read = 0
        self._last_digest: bytes | None = None
        self._begun = directory / "roots" / "begun"
        self._halted: set[tuple[str, halts.Target]] = set()

    # ---- roots

    def new_roots(self) -> Iterator[Root]:
        """Yield the roots that were signed since the last call. Raises ChainError if the chain is broken."""
        for root in read_roots(self._chain, self._public, after=self._roots_read, previous=self._last_digest):
            self._roots_read += 1
            self._last_digest = root.digest
            yield root

    def root_begun(self) -> int:
        """Return the sequence of the newest root that is being made or was made, 0 if none."""
        try:
            return int.from_bytes(self._begun.read_bytes()[:8], "little")
        except FileNotFoundError:
            return 0

    # ---- saying

    def report(self, report: dict[str, Any]) -> None:
        """Put a report where the public and operators read it."""
        said = {"judge": self.name, "timestamp": iso(time.time_ns()), **report}
        replace(self._directory / "judges" / f"{self.name}.report.json", msgspec.json.encode(said))

    def sign_checks(self, root: Root, *, green: int, red: int) -> None:
        """Sign what the checks say of the state under a root."""
        report = ChecksReport(self.venue, root.sequence, root.accounts_root.hex(), time.time_ns(), green, red)
        signature = Signature(self.name, Role.JUDGE, sign(self._key, report.text.encode()).hex())
        signed = SignedChecks(*report, judge=signature)
        replace(self._directory / "judges" / f"{self.name}.checks.json", msgspec.json.encode(signed))

    # ---- halting

    async def halt(
        self, finding: Finding, *, evidence: dict[str, Any], state: TradingState = TradingState.HALTED
    ) -> bool:
        """Halt, once for a law and a scope until somebody has lifted it; return whether it is done.

        Without a core there is nothing to halt: it is tried again with the next finding.
        """
        if (finding.law, finding.target) in self._halted:
            return True
        log.critical(
            "%s: %s: expected %s, found %s, at sequence %d", finding.law, finding.what,
            finding.expected[:_FIELD_MAX], finding.found[:_FIELD_MAX], finding.sequence,
        )  # fmt: skip
        reason = Reason(
            by=self.name, law=finding.law, what=finding.what, expected=finding.expected[:_FIELD_MAX],
            found=finding.found[:_FIELD_MAX], cut=finding.sequence, dump=self._keep(finding, evidence),
        )  # fmt: skip
        admin = Admin(self._directory)
        try:
            await admin.connect()
            await admin.ask(halts.halt(finding.target, reason, state=state), operator=self.name)
        except (OSError, AdminTimeout, AdminRefused) as error:
            log.critical("the exchange could not be halted: %s", error)
            return False
        finally:
            admin.close()
        self._halted.add((finding.law, finding.target))
        return True

    def lifted(self) -> None:
        """Somebody has lifted a halt: whatever is found from now on halts again."""
        self._halted.clear()

    def _keep(self, finding: Finding, evidence: dict[str, Any]) -> str:
        """Write the evidence down and return its digest."""
        raw = msgspec.json.format(msgspec.json.encode({**finding._asdict(), "evidence": evidence}))
        folder = self._directory / "judges" / "dumps"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{self.name}-{finding.law}-{finding.sequence}-{os.getpid()}.json"
        path.write_bytes(raw)
        return hashlib.blake2b(raw, digest_size=32).hexdigest()
