"""The threshold protocols, each run in a process of its own: `mpc-engine/`, which knows no network and no files.

What it gives is believed by nobody: a signature is verified by another library before it leaves (libsecp256k1 for
ECDSA, OpenSSL for Ed25519), with a public key that was known before.
"""

import asyncio
import os
import shutil
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
from coincurve import PublicKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.custody.hsm.token import verifies

FRAME_BYTES_MAX = 8 << 20
_NAME = "ringfence-mpc"
_EXIT_SECONDS = 5
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class Scheme(StrEnum):
    ECDSA = "ecdsa-secp256k1"
    """DKLs23: 32 bytes of digest are signed."""
    ED25519 = "ed25519"
    """FROST (RFC 9591): the message itself is signed."""


class Operation(StrEnum):
    DKG = "dkg"
    SIGN = "sign"
    REFRESH = "refresh"
    REPAIR = "repair"


class Run(msgspec.Struct, frozen=True):
    """One run for one party. Parties are counted from 1, by their place in the key."""

    operation: Operation
    scheme: Scheme
    me: int
    threshold: int
    count: int
    parties: tuple[int, ...]
    session: bytes
    """32 bytes that name this run for ever."""
    share: bytes = b""
    package: bytes = b""
    """What everybody knows of the key: public key and verifying shares."""
    message: bytes = b""
    target: int = 0
    path: str = ""
    """ECDSA: which key below the shared one signs, as BIP32 has it, e.g. `m/1/5`."""


class Outcome(NamedTuple):
    public_key: bytes = b""
    """Compressed."""
    share: bytes = b""
    package: bytes = b""
    signature: bytes = b""
    """ECDSA: r|s, s in the lower half. Ed25519: RFC 8032."""
    recovery_id: int = 0
    chain_code: bytes = b""
    """ECDSA: what keys below this one are derived with; no secret."""


class ProtocolAbort(Exception):
    """The run came to nothing: no signature, no new share. `culprit` is whom the protocol names, 0 = nobody."""

    def __init__(
        self, reason: str, *, culprit: int = 0, is_banned: bool = False, is_harmless: bool = False
    ) -> None:
        super().__init__(f"party {culprit}: {reason}" if culprit else reason)
        self.reason, self.culprit, self.is_banned, self.is_harmless = reason, culprit, is_banned, is_harmless


class EngineMissingError(Exception):
    """The engine was not built. Remedy: Rust 1.88 or newer, then `make mpc`."""


class Said(NamedTuple):
    """What a party says in one round."""

    broadcast: bytes
    """To everybody; empty if nothing."""
    private: dict[int, bytes]
    """By receiver."""


class Heard(NamedTuple):
    """What the others have said in one round, by sender."""

    broadcast: dict[int, bytes]
    private: dict[int, bytes]


class Carrier(Protocol):
    """Brings what is said to the others and back. Raises ProtocolAbort."""

    async def exchange(self, number: int, said: Said) -> Heard: ...


def engine_path() -> Path | None:
    """Return where the engine is: `RINGFENCE_MPC`, beside this Python, or on the path; None if nowhere."""
    given = os.environ.get("RINGFENCE_MPC")
    beside = Path(sys.executable).with_name(_NAME)
    found = given or (str(beside) if beside.exists() else shutil.which(_NAME))
    return Path(found) if found else None


async def perform(run: Run, carrier: Carrier) -> Outcome:
    """Run the protocol to its end. Raises ProtocolAbort, EngineMissingError; who wants a deadline brings it."""
    path = engine_path()
    if path is None:
        raise EngineMissingError("the MPC engine is not built: it needs Rust 1.88 or newer, then `make mpc`")
    process = await asyncio.create_subprocess_exec(
        path, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={}, limit=FRAME_BYTES_MAX,
    )  # fmt: skip
    try:
        outcome = await _Conversation(process).hold(run, carrier)
    finally:
        await _end(process)
    if run.operation == Operation.SIGN and not is_signature(
        run.scheme, outcome.public_key, run.message, outcome.signature
    ):
        raise ProtocolAbort("the engine's signature does not verify; it is thrown away")
    return outcome


async def _end(process: asyncio.subprocess.Process) -> None:
    """See an engine out: it goes when it has said its last word, or when nobody speaks to it any more."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _EXIT_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class _Conversation:
    """Frames with one engine process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    async def hold(self, run: Run, carrier: Carrier) -> Outcome:
        await self._read()  # hello
        await self._write({name: _plain(value) for name, value in msgspec.structs.asdict(run).items()})
        while True:
            frame = await self._read()
            if frame["kind"] == "abort":
                abort = frame["abort"]
                raise ProtocolAbort(abort["reason"], culprit=abort["culprit"], is_banned=abort["is_banned"])
            if frame["kind"] == "done":
                return _outcome(frame["outcome"])
            said = frame["said"]
            private = {int(to): bytes.fromhex(raw) for to, raw in said["private"].items()}
            number: int = frame["round"]
            heard = await carrier.exchange(number, Said(bytes.fromhex(said["broadcast"]), private))
            await self._write(
                {
                    "round": number,
                    "broadcast": {str(of): raw.hex() for of, raw in heard.broadcast.items()},
                    "private": {str(of): raw.hex() for of, raw in heard.private.items()},
                }
            )

    async def _read(self) -> dict[str, Any]:
        try:
            length = int.from_bytes(await self._out.readexactly(4), "big")
            if length > FRAME_BYTES_MAX:
                raise ProtocolAbort("the engine says more than fits a frame")
            frame: dict[str, Any] = msgspec.json.decode(await self._out.readexactly(length))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ProtocolAbort("the engine has died") from error
        return frame

    async def _write(self, said: dict[str, Any]) -> None:
        raw = msgspec.json.encode(said)
        try:
            self._in.write(len(raw).to_bytes(4, "big") + raw)
            await self._in.drain()
        except OSError as error:
            raise ProtocolAbort("the engine has died") from error


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _outcome(said: dict[str, Any]) -> Outcome:
    return Outcome(
        bytes.fromhex(said["public_key"]), bytes.fromhex(said["share"]), bytes.fromhex(said["package"]),
        bytes.fromhex(said["signature"]), said["recovery_id"], bytes.fromhex(said["chain_code"]),
    )  # fmt: skip


def is_signature(scheme: Scheme, public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether a signature is one that the networks take, by a library that had no part in making it."""
    if len(signature) != 64:
        return False
    if scheme == Scheme.ECDSA:
        is_low = 0 < int.from_bytes(signature[32:], "big") <= _HALF_ORDER
        return is_low and verifies(public_key, message, signature)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def recovered_key(digest: bytes, signature: bytes, recovery_id: int) -> bytes:
    """Return the compressed public key that made an ECDSA signature, as chains find it. Raises ValueError."""
    try:
        found = PublicKey.from_signature_and_message(signature + bytes((recovery_id,)), digest, hasher=None)
    except Exception as error:  # libsecp256k1's errors are bare ones
        raise ValueError("no key has made this signature") from error
    return bytes(found.format())
