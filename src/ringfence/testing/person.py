"""Somebody at the exchange's page: a browser's cookies and headers without the browser, and their mail."""

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, NamedTuple

from ringfence.exchange.users import mail as mails
from ringfence.exchange.users.one_time import STEP_SECONDS, code_at

PASSWORD = "marmot quince oboe 41 lantern"  # noqa: S105
_MAIL_SECONDS = 20.0
_LINK = re.compile(r"/account/#(\w+)=([\w-]+)")


class Reply(NamedTuple):
    status: int
    value: Any
    headers: Any

    @property
    def error(self) -> str:
        """The name of what was refused."""
        return str(self.value["error"]["name"])


class Mail(mails.Mail):
    """A mail that somebody has received."""

    def secret(self, what: str) -> str:
        """The token of a link."""
        found = dict(_LINK.findall(self.text))
        return str(found[what])


class Person:
    def __init__(self, url: str, directory: Path, address: str = "ada@example.com") -> None:
        self.url, self.address = url, address
        self.cookies: dict[str, str] = {}
        self._mail = directory / "mail"
        self._read: set[Path] = set()

    # ---- the page

    def ask(
        self, method: str, path: str, /, headers: dict[str, str] | None = None, **parameters: Any
    ) -> Reply:
        said = {"content-type": "application/json", "x-ringfence": "page", "user-agent": "Oboe 1.0"}
        said["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        said |= headers or {}
        body = None if method == "GET" else json.dumps(parameters).encode()
        if method == "GET" and parameters:
            path += "?" + urllib.parse.urlencode(parameters)
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/api/v1{path}", data=body, method=method,
            headers={name: value for name, value in said.items() if value},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return self._keep(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return self._keep(error.code, error.headers, error.read())

    def _keep(self, status: int, headers: Any, body: bytes) -> Reply:
        for line in headers.get_all("set-cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        is_json = "json" in headers.get("content-type", "")
        return Reply(status, json.loads(body) if is_json else body, headers)

    def get(self, path: str, **parameters: Any) -> Any:
        return self._done(self.ask("GET", path, **parameters))

    def post(self, path: str, **parameters: Any) -> Any:
        return self._done(self.ask("POST", path, **parameters))

    def delete(self, path: str, **parameters: Any) -> Any:
        return self._done(self.ask("DELETE", path, **parameters))

    def _done(self, reply: Reply) -> Any:
        assert reply.status == 200, reply
        return reply.value

    # ---- the mail

    def mail(self, subject: str) -> Mail:
        """Wait for a mail with that subject which was not read before."""
        until = time.monotonic() + _MAIL_SECONDS
        while time.monotonic() < until:
            for path in sorted(set(self._mail.glob("*.eml")) - self._read):
                found = read_mail(path)
                if found.to == self.address and found.subject == subject:
                    self._read.add(path)
                    return found
            time.sleep(0.02)
        raise AssertionError(f"no mail says {subject!r}: {[read_mail(p) for p in self._mail.glob('*.eml')]}")

    # ---- what everybody does

    def registers(self, password: str = PASSWORD) -> "Person":
        self.post("/account/register", email=self.address, password=password)
        self.post("/account/verify", token=self.mail("Open your account").secret("verify"))
        return self

    def signs_in(self, password: str = PASSWORD) -> "Person":
        assert self.post("/account/login", email=self.address, password=password) == {"state": "signedIn"}
        return self

    def steps_up(self, **factor: Any) -> None:
        challenge = self.post("/account/stepUp/options")["challenge"]
        self.post("/account/stepUp", challenge=challenge, **(factor or {"password": PASSWORD}))


def read_mail(path: Path) -> Mail:
    return Mail(*mails.read_mail(path))


def code_now(seed: str, *, later: int = 0) -> str:
    """The one-time code of now, or some steps later."""
    return code_at(seed, int(time.time()) // STEP_SECONDS + later)
