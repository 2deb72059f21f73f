"""A co-signer's own line to the others: whether one that is said to be silent answers after all."""

import socket
import ssl
from pathlib import Path

import msgspec

from ringfence.custody.quorum.messages import MESSAGE_BYTES_MAX, Answer, Question, Standing, Status
from ringfence.daemons.pinned_tls import client_context

_SECONDS = 2.0


class Peers:
    """Asks the other co-signers, each with its certificate pinned in this co-signer's own folder."""

    def __init__(self, home: Path, addresses: dict[str, tuple[str, int]]) -> None:
        """`home` is the co-signer's folder. Raises OSError."""
        self._addresses = addresses
        self._contexts = {name: client_context(home, certificate_of(home, name)) for name in addresses}

    def standing_of(self, name: str) -> Standing | None:
        """Return how another co-signer says it stands, None if it does not answer."""
        if name not in self._addresses:
            return None
        try:
            answer = self._ask(name, Status())
        except (OSError, ValueError, msgspec.MsgspecError):
            return None
        return answer if isinstance(answer, Standing) else None

    def _ask(self, name: str, question: Question) -> Answer:
        with (
            socket.create_connection(self._addresses[name], timeout=_SECONDS) as plain,
            self._contexts[name].wrap_socket(plain) as line,
        ):
            line.sendall(msgspec.json.encode(question) + b"\n")
            return _answer(line)


def _answer(line: ssl.SSLSocket) -> Answer:
    with line.makefile("rb") as reader:
        answer: Answer = msgspec.json.decode(reader.readline(MESSAGE_BYTES_MAX), type=Answer)
    return answer


def certificate_of(home: Path, name: str) -> Path:
    """Return where a co-signer keeps the certificate of another one."""
    return home / "peers" / f"{name}.crt"
