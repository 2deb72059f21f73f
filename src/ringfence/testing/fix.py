"""A FIX client for tests, with session code of its own over a raw socket: nothing of the gateway's is used.

It keeps numbers as the standard tells a client to, answers TestRequests and ResendRequests, asks for what it
misses, and remembers every application message once: `messages`, in order of their numbers.
"""

import hashlib
import hmac
import re
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from simplefix import FixMessage, FixParser

Row = dict[int, str]
SOH = "\x01"
_WAIT_SECONDS = 10.0
_START_SECONDS = 60.0
"""A gateway that is started again may have much to fold, on a machine that has much to do."""
_ADMIN = frozenset(["0", "1", "2", "4", "5", "A"])


def stamp(seconds: float | None = None) -> str:
    at = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return f"{at:%Y%m%d-%H:%M:%S}.{at.microsecond // 1000:03d}"


def signature(secret: str, *signed: Any) -> str:
    return hmac.new(secret.encode(), SOH.join(map(str, signed)).encode(), hashlib.sha256).hexdigest()


def frame(*pairs: tuple[int, Any], begin: str = "FIX.4.4") -> bytes:
    """Return a whole message with the right length and checksum."""
    message = FixMessage()
    message.append_pair(8, begin)
    for tag, value in pairs:
        message.append_pair(tag, value)
    return bytes(message.encode())


class FixClient:
    """One session of a client; `connect` and `log_on` again after a loss."""

    def __init__(
        self, port: int, account: int, *, sender: str = "CLIENT", target: str = "RINGFENCE", key: str = "",
        secret: str = "", heartbeat: int = 30, cancels: bool = False,
    ) -> None:  # fmt: skip
        self.port, self.sender, self.target, self.heartbeat, self.cancels = (
            port,
            sender,
            target,
            heartbeat,
            cancels,
        )
        self.key, self.secret = key or f"key-{account}", secret or f"secret-{account}"
        self.next_out = self.next_in = 1
        self.sent: dict[int, list[tuple[int, Any]]] = {}
        self.heard: list[Row] = []
        """Everything that came, in order of arrival."""
        self.messages: list[Row] = []
        """Application messages, each once."""
        self.asks_for_missing = True
        self._socket: socket.socket | None = None

    # ---- the line

    def connect(self) -> None:
        """Connect to a gateway that stays: one that is being killed takes connections until its last socket is gone."""
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=_WAIT_SECONDS)
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
                continue
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._parser = FixParser()
            if self.poll() or time.monotonic() > until:
                # Not the little that a look takes: a handshake may follow.
                self._socket.settimeout(_WAIT_SECONDS)
                break

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send_raw(self, raw: bytes) -> None:
        assert self._socket is not None
        self._socket.sendall(raw)

    def raw(self, kind: str, *pairs: tuple[int, Any], seq: int | None = None, **changes: Any) -> bytes:
        """Return a message; without a number it takes the next. `changes`: sender, target, sent, dup, begin."""
        if seq is None:
            seq, self.next_out = self.next_out, self.next_out + 1
            self.sent[seq] = [(35, kind), *pairs]
        sent = changes.get("sent") or stamp()
        dup = [(43, "Y"), (122, changes.get("original") or sent)] if changes.get("dup") else []
        head = [
            (35, kind), (49, changes.get("sender", self.sender)), (56, changes.get("target", self.target)),
            (34, seq), (52, sent), *dup,
        ]  # fmt: skip
        return frame(*head, *pairs, begin=changes.get("begin", "FIX.4.4"))

    def send(self, kind: str, *pairs: tuple[int, Any], **changes: Any) -> None:
        self.send_raw(self.raw(kind, *pairs, **changes))

    # ---- logon

    def log_on(self, *, reset: bool = False, wait: bool = True, sent: str = "", **more: Any) -> Row:
        """Connect and log on; return the gateway's Logon."""
        self.connect()
        if reset:
            self.next_out = self.next_in = 1
        at = len(self.heard)
        sent = sent or stamp()
        seq = more.get("seq") or self.next_out
        proof = more.get("proof") or signature(self.secret, sent, "A", seq, self.sender, self.target)
        pairs: list[tuple[int, Any]] = [
            (98, 0), (108, self.heartbeat), (553, self.key), (95, len(proof)), (96, proof)
        ]  # fmt: skip
        if reset:
            pairs.append((141, "Y"))
        if self.cancels:
            pairs.append((9001, "Y"))
        self.send("A", *pairs, sent=sent, seq=more.get("seq"))
        return self.until(lambda m: m[35] in "A5", since=at, seconds=_START_SECONDS) if wait else {}

    def log_out(self) -> None:
        at = len(self.heard)
        self.send("5")
        self.until(lambda m: m[35] == "5", since=at)
        self.close()

    # ---- in

    def poll(self, seconds: float = 0.05) -> bool:
        """Take what has come; False when the other side has hung up."""
        if self._socket is None:
            return False
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            return True
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        self._parser.append_buffer(data)
        while (message := self._parser.get_message()) is not None:
            self._take({int(tag): value.decode() for tag, value in message.pairs})
        return True

    def _take(self, message: Row) -> None:
        self.heard.append(message)
        seq, kind = int(message[34]), message[35]
        if kind == "4" and message.get(123) != "Y":
            self.next_in = int(message[36])
            return
        if seq > self.next_in:
            if kind == "2":
                self._resend(message)
            if self.asks_for_missing and kind != "5":
                self.send("2", (7, self.next_in), (16, 0))
                self.asks_for_missing = False
            return
        if seq < self.next_in:
            # A refusal of a Logon is outside of every session's numbers.
            assert message.get(43) == "Y" or kind == "5", f"too low without PossDupFlag: {message}"
            return
        self.asks_for_missing = True
        self.next_in = int(message[36]) if kind == "4" else seq + 1
        if kind == "1":
            self.send("0", (112, message[112]))
        elif kind == "2":
            self._resend(message)
        elif kind not in _ADMIN:
            self.messages.append(message)

    def _resend(self, message: Row) -> None:
        """Send again what was asked for; gaps for the session's own messages."""
        end = int(message[16]) or self.next_out - 1
        at = int(message[7])
        while at <= end:
            pairs = self.sent.get(at)
            if pairs is not None and pairs[0][1] not in _ADMIN:
                self.send(pairs[0][1], *pairs[1:], seq=at, dup=True)
                at += 1
                continue
            begin = at
            while at <= end and ((p := self.sent.get(at)) is None or p[0][1] in _ADMIN):
                at += 1
            self.send("4", (123, "Y"), (36, at), seq=begin, dup=True)

    def until(self, matches: Callable[[Row], bool], *, since: int = 0, seconds: float = _WAIT_SECONDS) -> Row:
        """Return the first message that matches, of all from number `since` on. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while True:
            for message in self.heard[since:]:
                if matches(message):
                    return message
            if time.monotonic() > end or (not self.poll() and self._socket is None):
                break
        for message in self.heard[since:]:
            if matches(message):
                return message
        raise TimeoutError(f"not seen; the last messages are {self.heard[-4:]}")

    def report(self, clordid: str, *, kind: str | None = None, seconds: float = _WAIT_SECONDS) -> Row:
        """Return the first application message about a ClOrdID, of an ExecType if one is named."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for message in self.messages:
                if message.get(11) == clordid and (kind is None or message.get(150) == kind):
                    return message
            if not self.poll() and self._socket is None:
                break
        raise TimeoutError(f"nothing of {clordid}; the last messages are {self.messages[-4:]}")

    def is_hung_up(self, seconds: float = _WAIT_SECONDS) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.poll():
                return True
        return False

    # ---- orders

    def place(self, clordid: str, side: str, qty: int | str, price: Any = None, **more: Any) -> None:
        """Send a NewOrderSingle: limit with a price, else market; `more` are fields as `t59=4`."""
        pairs: dict[int, Any] = {
            11: clordid, 55: "XBTUSD", 54: side, 60: stamp(), 38: qty, 40: "1" if price is None else "2"
        }  # fmt: skip
        if price is not None:
            pairs[44] = price
        self.send("D", *_with(pairs, more).items())

    def cancel(self, clordid: str, orig: str, side: str, **more: Any) -> None:
        pairs = {41: orig, 11: clordid, 55: "XBTUSD", 54: side, 60: stamp()}
        self.send("F", *_with(pairs, more).items())

    def replace(self, clordid: str, orig: str, side: str, **more: Any) -> None:
        pairs = {41: orig, 11: clordid, 55: "XBTUSD", 54: side, 60: stamp(), 40: "2"}
        self.send("G", *_with(pairs, more).items())


def _with(pairs: dict[int, Any], more: dict[str, Any]) -> dict[int, Any]:
    changed = {**pairs, **{int(re.sub(r"\D", "", name)): value for name, value in more.items()}}
    return {tag: value for tag, value in changed.items() if value is not None}
