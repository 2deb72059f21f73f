"""A line to a node: requests over one connection that is kept, with a bound on what comes back.

Nothing is asked twice here except on a connection that the node had closed before it got the request: whoever calls
knows whether the same request twice is the same thing. Redirects are not followed.
"""

import http.client

_CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
"""Nodes close connections that are idle; then they have not seen the request that meets one of these."""


class LineError(Exception):
    """There is no answer. Whether the node did what was asked is not known: ask what is, then decide."""


class AnswerTooLargeError(LineError):
    """There is an answer, which is longer than whoever asked would read. Nothing was taken from it."""


class HttpLine:
    """One connection to a node. Not for two threads at once."""

    def __init__(self, host: str, port: int | None, *, seconds: float, is_https: bool = False) -> None:
        """Nothing is connected yet.

        port: None for the protocol's own. seconds: how long the node may be silent.
        """
        self._kind = http.client.HTTPSConnection if is_https else http.client.HTTPConnection
        self._host, self._port, self._seconds = host, port, seconds
        self._connection: http.client.HTTPConnection | None = None

    def post(
        self, path: str, body: bytes, *, answer_bytes_max: int, authorization: str = ""
    ) -> tuple[int, bytes]:
        """Send JSON, return the status and what is answered. Raises LineError, AnswerTooLargeError."""
        headers = {"Content-Type": "application/json"}
        if authorization:
            headers["Authorization"] = authorization
        is_fresh = self._connection is None
        while True:
            try:
                if self._connection is None:
                    self._connection = self._kind(self._host, self._port, timeout=self._seconds)
                self._connection.request("POST", path, body, headers)
                response = self._connection.getresponse()
                content = response.read(answer_bytes_max + 1)
                break
            # The library raises bare ValueErrors for some answers that are not HTTP.
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.close()
                if is_fresh or not isinstance(error, _CLOSED):
                    raise LineError(f"the node does not answer: {error!r}") from error
                is_fresh = True
        if len(content) > answer_bytes_max:
            self.close()
            raise AnswerTooLargeError(f"the answer is larger than {answer_bytes_max} bytes")
        return response.status, content

    def close(self) -> None:
        """Whoever posts afterwards gets a new connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
