"""The development chain's calls over HTTP on the loopback interface."""

import json
from http import HTTPStatus
from typing import Any

from ringfence.custody.chains.loopback_server import Answer, LoopbackServer, Outcome, called, refusing
from ringfence.custody.chains.solana.devnet import Devnet

REQUEST_BYTES_MAX = 1 << 20
_BROKEN = -32603


class SolanaServer(LoopbackServer):
    """Answers a node's calls, to whoever asks on this machine."""

    def __init__(self, devnet: Devnet, *, port: int) -> None:
        """Bind. Raises OSError."""
        # A page in a browser may send other kinds to the loopback without asking; this one it may not.
        super().__init__(port=port, request_bytes_max=REQUEST_BYTES_MAX, content_type="application/json")
        self._devnet = devnet

    def answer(self, body: bytes) -> Answer:
        return _told(called(body, self._devnet.call))

    def broken(self, body: bytes) -> Answer:
        return _told(called(body, refusing(_BROKEN)))


def _told(outcome: Outcome) -> Answer:
    error = outcome.error
    told: dict[str, Any] = {"jsonrpc": "2.0"}
    if error is None:
        told["result"] = outcome.result
    else:
        told["error"] = {"code": error.code, "message": error.message}
        if error.data is not None:
            told["error"]["data"] = error.data
    told["id"] = outcome.number
    return Answer(HTTPStatus.OK, json.dumps(told).encode())
