"""A report of a hole through gateway, desk and command line: what strangers, thieves and the role can do."""

import json
import os
import re
import smtplib
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from ringfence.assurance.disclosure.sealed import new_key_file, read_key_file, seal
from ringfence.assurance.disclosure.security_txt import verified
from ringfence.daemons.security_desk import DEMO_ROLE, found
from ringfence.exchange.users import founding as users_founding
from ringfence.ports import free_ports
from ringfence.testing.person import read_mail
from ringfence.testing.venue import Venue

CANARY = "canary-51c0: withdrawals sign twice"


class Desk:
    """A venue with a desk beside it."""

    def __init__(self, venue: Venue) -> None:
        self.venue, self.directory = venue, venue.directory
        self.role = read_key_file(self.directory / "people" / f"{DEMO_ROLE}.key", passphrase=None)
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-m", "ringfence.daemons.security_desk", str(self.directory)]
        with (self.directory / "security-desk.log").open("ab") as log:
            process = subprocess.Popen(
                [*arguments, "--url", "https://exchange.example"], stdout=log, stderr=log
            )
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if self.get("/api/v1/securityPolicy")[0] == 200:
                return process
            time.sleep(0.05)
        raise TimeoutError((self.directory / "security-desk.log").read_text()[-2000:])

    def get(self, path: str) -> tuple[int, bytes]:
        return self._send(urllib.request.Request(self.venue.url + path))

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(
            f"{self.venue.url}/api/v1{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        status, raw = self._send(request)
        return status, json.loads(raw)

    def _send(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def report(self, **more: str) -> dict[str, Any]:
        fields = {"title": CANARY, "steps": CANARY, **more}
        status, said = self.post(
            "/securityReport", {"report": seal(json.dumps(fields).encode(), [self.role.recipient])}
        )
        assert status == 200, said
        return said

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        program = "from ringfence.cli import main; main()"
        return subprocess.run(
            [sys.executable, "-c", program, "security", *words, "--directory", str(self.directory)],
            capture_output=True, text=True, timeout=60, env=os.environ | {"COLUMNS": "200"}, **options,
        )  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    directory = tmp_path_factory.mktemp("disclosure")
    found(directory)
    with Venue(directory, limits={"security_reports_per_hour": 0}, history=False) as venue:
        made = Desk(venue)
        yield made
        made.process.terminate()
        made.process.wait(20)


@pytest.mark.slow
def test_a_report_is_kept_and_followed_and_answered(desk: Desk) -> None:
    reply = new_key_file("reply")
    said = desk.report(reply=reply.recipient, thanks="Alice <script>")
    receipt = {name: said[name] for name in ("id", "secret")}
    assert said["state"] == "received"
    for words in (
        ("state", said["id"], "acknowledged"),
        ("message", said["id"], "thank you"),
        ("state", said["id"], "triaged", "--band", "high"),
        ("state", said["id"], "accepted", "--reward-usd", "5000"),
        ("thank", said["id"]),
    ):
        done = desk.run(*words)
        assert done.returncode == 0, done.stderr
    status, now = desk.post("/securityReport/state", receipt)
    assert (status, now["state"], now["band"], now["rewardUsd"]) == (200, "accepted", "high", 5000)
    assert [step["state"] for step in now["steps"]] == ["received", "acknowledged", "triaged", "accepted"]
    assert len(now["messages"]) == 1
    added = seal(b"more of it", [desk.role.recipient])
    status, now = desk.post("/securityReport", {**receipt, "report": added})
    assert (status, now["followUps"]) == (200, 1)
    shown = desk.run("show", said["id"], "--json")
    texts = json.loads(shown.stdout)["texts"]
    assert json.loads(texts[0])["title"] == CANARY
    assert texts[1:] == ["more of it", "> thank you"]
    policy = json.loads(desk.get("/api/v1/securityPolicy")[1])
    assert {"name": "Alice <script>", "band": "high"} in policy["thanks"]


def test_nothing_of_a_report_is_in_any_file_or_answer(desk: Desk) -> None:
    desk.report()
    for path in desk.directory.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path
    for path in ("/api/v1/securityPolicy", "/.well-known/security.txt"):
        assert CANARY.encode() not in desk.get(path)[1]


def test_a_receipt_opens_its_own_report_alone(desk: Desk) -> None:
    one, other = desk.report(), desk.report()
    refused = [
        desk.post("/securityReport/state", {"id": one["id"], "secret": other["secret"]}),
        desk.post("/securityReport/state", {"id": "R0000000000", "secret": one["secret"]}),
        desk.post(
            "/securityReport", {"id": one["id"], "secret": "x", "report": seal(b"x", [desk.role.recipient])}
        ),
    ]
    assert {(status, said["error"]["message"]) for status, said in refused} == {
        (404, "there is no report with this receipt")
    }


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"report": ""}, 400), ({"report": 7}, 400), ({"report": ["x"]}, 400), ({"report": CANARY}, 400),
     ({"report": "x" * 65_537}, 413), ({"report": "x" * 1_100_000}, 413), ({"report": "\x00" * 60_000}, 400),
     ({"report": "é" * 60_000}, 400), ({"report": '"' * 65_536}, 400),
     ({"report": "-----BEGIN AGE ENCRYPTED FILE-----\n" + "A" * 64 + "\n-----END AGE ENCRYPTED FILE-----"}, 400)],
)  # fmt: skip
def test_what_is_no_report_is_refused_and_not_repeated(desk: Desk, body: dict[str, Any], status: int) -> None:
    got, said = desk.post("/securityReport", body)
    assert got == status
    assert "canary" not in json.dumps(said)
    assert len(json.dumps(said)) < 300


@pytest.mark.slow
def test_the_role_is_the_key_and_not_the_name(desk: Desk, tmp_path: Path) -> None:
    said = desk.report()
    words = tmp_path / "words"
    words.write_text("correct horse battery")
    made = desk_key(tmp_path, words)
    refused = desk.run(
        "state", said["id"], "acknowledged", "--key", str(made), "--passphrase-file", str(words)
    )
    assert refused.returncode != 0
    assert "has not signed" in refused.stderr
    words.write_text("another one altogether")
    wrong = desk.run("show", said["id"], "--key", str(made), "--passphrase-file", str(words))
    assert "wrong passphrase" in wrong.stderr
    assert CANARY not in wrong.stdout + wrong.stderr


def desk_key(folder: Path, words: Path) -> Path:
    path = folder / "role.key"
    program = "from ringfence.cli import main; main()"
    made = subprocess.run(
        [sys.executable, "-c", program, "security", "new-key", str(path), "--name", DEMO_ROLE,
         "--passphrase-file", str(words)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return path


def test_a_form_as_curl_sends_it_is_taken(desk: Desk) -> None:
    sealed = seal(b"by hand", [desk.role.recipient]).replace("\n", "\r\n")
    form = urllib.parse.urlencode({"report": sealed}).encode()
    with urllib.request.urlopen(f"{desk.venue.url}/api/v1/securityReport", form, timeout=20) as answer:
        report = json.loads(answer.read())["id"]
    assert json.loads(desk.run("show", report, "--json").stdout)["texts"] == ["by hand"]


def test_a_report_comes_by_mail_sealed_or_not(desk: Desk) -> None:
    """Both ways over SMTP: the role reads them, nothing of them is on the disk, receipts go back to who wrote."""
    port = free_ports(1)[0]
    users_founding.found(desk.directory, catcher_port=port)
    arguments = [
        sys.executable,
        "-m",
        "ringfence.daemons.mail_catcher",
        str(desk.directory),
        "--port",
        str(port),
    ]
    with subprocess.Popen(arguments) as catcher:
        try:
            _post_mail(port, f"{CANARY} plainly")
            _post_mail(port, "See below.\n\n" + seal(f"{CANARY} sealed".encode(), [desk.role.recipient]))
        finally:
            catcher.terminate()
    waiting = sorted((desk.directory / "accounts" / "outbox").glob("*.eml"))
    assert len(waiting) == 2
    for path, text in zip(waiting, ("plainly", "sealed"), strict=True):
        answer = read_mail(path)
        assert (answer.to, answer.subject) == ("finder@example.com", "Your report was received")
        report = re.search(r"id (\w+)", answer.text)
        assert report is not None
        (told,) = json.loads(desk.run("show", report[1], "--json").stdout)["texts"]
        assert f"{CANARY} {text}" in told
    for path in desk.directory.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path


def _post_mail(port: int, text: str) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = (
        "Finder <finder@example.com>",
        "security@ringfence.example",
        "A hole",
    )
    mail.set_content(text)
    until = time.monotonic() + 20
    while True:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=20) as server:
                server.send_message(mail)
            return
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def test_an_escape_sequence_in_a_report_does_nothing_to_the_terminal(desk: Desk) -> None:
    sealed = seal(b"\x1b]0;owned\x07 \x1b[2J", [desk.role.recipient])
    _, said = desk.post("/securityReport", {"report": sealed})
    shown = desk.run("show", said["id"])
    assert "\x1b" not in shown.stdout
    assert "\\x1b[2J" in shown.stdout


def test_what_was_answered_for_survives_a_kill(desk: Desk) -> None:
    said = desk.report()
    desk.process.kill()
    desk.process.wait()
    assert desk.post("/securityReport/state", {"id": said["id"], "secret": said["secret"]})[0] == 503
    desk.process = desk.start()
    status, now = desk.post("/securityReport/state", {"id": said["id"], "secret": said["secret"]})
    assert (status, now["state"]) == (200, "received")


def test_security_txt_is_served_signed(desk: Desk) -> None:
    certificate = desk.get("/.well-known/security-openpgp.asc")[1]
    text = verified(desk.get("/.well-known/security.txt")[1], certificate)
    assert "Contact: https://exchange.example/public/report.html\n" in text
    assert desk.get("/.well-known/security-age.txt")[1].decode().strip() == desk.role.recipient
    for path in (
        "/.well-known/",
        "/.well-known/../openpgp.key",
        "/.well-known/openpgp.key",
        "/.well-known/x",
    ):
        assert desk.get(path)[0] == 404


def test_pages_do_not_use_up_what_an_address_may_ask(tmp_path: Path) -> None:
    limits = {"anonymous_requests_per_minute": 3, "page_files_per_minute": 40}
    with Venue(tmp_path, history=False, limits=limits) as venue:

        def asked(path: str) -> int:
            try:
                with urllib.request.urlopen(venue.url + path, timeout=20) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                return error.code

        files = [asked(path) for path in ("/public/", "/public/style.css", "/public/js/page.js") * 10]
        assert set(files) == {200}
        assert [asked("/api/v1/halt/status") for _ in range(4)] == [200, 200, 200, 429]
        assert 429 in [asked("/public/") for _ in range(20)]


def test_an_address_reports_five_times_an_hour(tmp_path: Path) -> None:
    found(tmp_path)
    with Venue(tmp_path, history=False) as venue:
        desk = Desk(venue)
        try:
            for _ in range(5):
                desk.report()
            sealed = seal(b"x", [desk.role.recipient])
            status, said = desk.post("/securityReport", {"report": sealed})
            assert (status, said["error"]["name"]) == (429, "RateLimitError")
        finally:
            desk.process.terminate()
            desk.process.wait(20)
