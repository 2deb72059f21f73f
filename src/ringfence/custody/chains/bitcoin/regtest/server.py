"""The node's calls over HTTP on the loopback interface, with a cookie: the way Bitcoin Core serves them."""

import base64
import os
import secrets
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from ringfence.custody.chains import loopback_server
from ringfence.custody.chains.bitcoin.regtest.node import MISC, CallError, Node
from ringfence.custody.chains.loopback_server import Answer, LoopbackServer, Outcome, called, refusing

COOKIE = ".cookie"
"""The file of the name and the password, as Core calls it."""
REQUEST_BYTES_MAX = 16 << 20
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class NodeServer(LoopbackServer):
    """Answers a node's calls to whoever can read its cookie."""

    def __init__(self, node: Node, directory: Path, *, port: int) -> None:
        """Bind, then write the cookie: who can read it can call. Raises OSError."""
        secret = f"__cookie__:{secrets.token_hex(32)}"
        authorization = "Basic " + base64.b64encode(secret.encode()).decode()
        super().__init__(port=port, request_bytes_max=REQUEST_BYTES_MAX, authorization=authorization)
        self._node, self._cookie = node, directory / COOKIE
        aside = directory / f"{COOKIE}.new"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            file.write(secret)
        aside.replace(self._cookie)

    def answer(self, body: bytes) -> Answer:
        return _told(called(body, self._call, parse_float=Decimal))

    def broken(self, body: bytes) -> Answer:
        return _told(called(body, refusing(MISC), parse_float=Decimal))

    def close(self) -> None:
        """Take the cookie back and stop answering. Nothing is in the middle of a call afterwards."""
        self._cookie.unlink(missing_ok=True)
        super().close()

    def _call(self, method: str, params: list[Any]) -> Any:
        try:
            return self._node.call(method, params)
        except CallError as error:
            raise loopback_server.CallError(error.code, error.message) from error


def _told(outcome: Outcome) -> Answer:
    """Spell a call's outcome as Core does, which knows JSON-RPC 1 and says of every error that it is the server's."""
    error = outcome.error
    told = {
        "result": outcome.result,
        "error": None if error is None else {"code": error.code, "message": error.message},
        "id": outcome.number,
    }
    return Answer(HTTPStatus.OK if error is None else HTTPStatus.INTERNAL_SERVER_ERROR, _ENCODER.encode(told))
