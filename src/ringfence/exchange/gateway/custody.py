"""The gateway's line to custody: deposit addresses, deposits on their way, withdrawals that are called back.

Whoever answers is not believed: an address is shown only with the signature of the address verifier, a process that
derives every address again and whose key lies in `custody/verifier.pub`.
"""

import hashlib
from pathlib import Path
from typing import Any

from coincurve import PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ringfence import lines
from ringfence.exchange.gateway.errors import Refused, unavailable

_SECONDS = 10.0


class CustodyDesk:
    """Asks custody's desk; one connection a question."""

    def __init__(self, directory: Path) -> None:
        self._home = directory / "custody"
        self.public: dict[str, Any] | None = None
        """What everybody may see, as it was at `public_at` of the monotonic clock."""
        self.public_at = 0.0

    async def ask(self, **question: Any) -> dict[str, Any]:
        """Return the answer. Raises Refused: 503 if custody is away, 400 with its reason if it says no."""
        try:
            said = await lines.ask(self._home / "desk.sock", {"id": 1, **question}, seconds=_SECONDS)
        except lines.NoAnswerError as error:
            raise unavailable("custody does not answer") from error
        if "error" in said:
            raise Refused(400, str(said["error"]))
        return said

    async def currencies(self) -> set[str]:
        """Return the assets that a chain is connected of. Raises Refused."""
        return set((await self.ask(ask="currencies"))["currencies"])

    async def address(self, account: int, currency: str) -> str:
        """Return an account's deposit address. Raises Refused, also if the verifier has not signed it."""
        said = await self.ask(ask="depositAddress", account=account, asset=currency)
        address = str(said.get("address", ""))
        if not self._is_verified(account, currency, address, str(said.get("signature", ""))):
            raise unavailable("the deposit address was not verified, so it is not shown")
        return address

    def _is_verified(self, account: int, currency: str, address: str, signature: str) -> bool:
        digest = hashlib.sha256(b"ringfence address" + f"{account}|{currency}|{address}".encode()).digest()
        try:
            key = PublicKey(bytes.fromhex((self._home / "verifier.pub").read_text()))
            raw = bytes.fromhex(signature)
            signed = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            return len(raw) == 64 and bool(key.verify(signed, digest, hasher=None))
        except Exception:  # libsecp256k1's errors are bare ones: whatever it is, nobody has verified it
            return False
