"""The gateway's line to custody: deposit addresses, deposits on their way, withdrawals that are called back.

Whoever answers is not believed: an address is shown only with the signature of the address verifier, a process that
derives every address again and whose key lies in `custody/verifier.pub`.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import msgspec
from coincurve import PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ringfence.exchange.gateway.errors import Refused, unavailable

_SECONDS = 10.0
_LINE_BYTES_MAX = 4 << 20


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
            async with asyncio.timeout(_SECONDS):
                said = await self._ask(question)
        except (OSError, TimeoutError, ValueError, msgspec.MsgspecError) as error:
            raise unavailable("custody does not answer") from error
        if "error" in said:
            raise Refused(400, str(said["error"]))
        return said

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(self._home / "desk.sock", limit=_LINE_BYTES_MAX)
        try:
            writer.write(msgspec.json.encode({"id": 1, **question}) + b"\n")
            await writer.drain()
            return msgspec.json.decode(await reader.readline(), type=dict[str, Any])
        finally:
            writer.close()

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
