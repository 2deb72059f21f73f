"""Names are in one table, text is what Prometheus reads, secrets are in no line."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import ringfence
from ringfence.monitoring import Histogram, Page, metrics, serving, socket_of
from ringfence.monitoring.gather import gather, merge, read, troubles
from ringfence.monitoring.logs import REDACTED, last_words, redact
from ringfence.monitoring.metrics import METRICS, Kind
from ringfence.monitoring.samples import expose, sample

SOURCE = Path(ringfence.__file__).parent
TABLE = SOURCE / "monitoring" / "metrics.py"


# ---- the table


@pytest.mark.parametrize("name", METRICS)
def test_a_name_is_one_that_prometheus_likes(name: str) -> None:
    metric = METRICS[name]
    assert re.fullmatch(r"ringfence_[a-z][a-z0-9_]+", name)
    assert name.endswith("_total") == (metric.kind == Kind.COUNTER)
    assert not name.endswith(("_bucket", "_count", "_sum"))
    if metric.unit == "seconds":
        assert name.endswith(("_seconds", "_seconds_total"))
    if metric.unit == "bytes":
        assert name.endswith("_bytes")
    assert metric.help.endswith(".")
    assert (metric.kind == Kind.HISTOGRAM) == bool(metric.buckets)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert not {"process", "le"} & set(metric.labels)


def test_every_metric_of_the_table_is_exported_and_no_other() -> None:
    """Code names a metric by its constant, so a name in quotes anywhere else is one that the table does not hold."""
    constants = {name for name, value in vars(metrics).items() if isinstance(value, metrics.Metric)}
    assert len(constants) == len(METRICS)
    texts = {path: path.read_text() for path in SOURCE.rglob("*.py") if path != TABLE}
    exported = {name for text in texts.values() for name in re.findall(r"\bmetrics\.([A-Z_]+)\b", text)}
    assert sorted(constants - exported) == []
    quoted = [(path.name, found) for path, text in texts.items()
              for found in re.findall(r"\"(ringfence_[a-z_]+(?:_total|_seconds|_bytes))\"", text)]  # fmt: skip
    assert quoted == []


def test_a_sample_has_the_labels_and_the_kind_of_its_metric() -> None:
    with pytest.raises(AssertionError):
        sample(metrics.UP, 1)
    with pytest.raises(AssertionError):
        sample(metrics.READY, 1, "more")
    with pytest.raises(AssertionError):
        sample(metrics.SYNC, 1)


# ---- the text


def test_the_text_is_what_prometheus_own_client_reads() -> None:
    seconds = Histogram(metrics.SYNC)
    for value in (0.0001, 0.003, 0.0051, 20.0):
        seconds.observe(value)
    text = expose(
        [sample(metrics.UP, 1, 'a"b\\c\nd'), sample(metrics.SYNC, seconds), sample(metrics.UP, 0, "x"),
         sample(metrics.FUND, 10**18 + 1, "ETh")], process="core",
    )  # fmt: skip
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert [(one.labels["name"], one.value) for one in families[metrics.UP.name].samples] == [
        ('a"b\\c\nd', 1.0),
        ("x", 0.0),
    ]
    buckets = {
        one.labels["le"]: one.value for one in families[metrics.SYNC.name].samples if "le" in one.labels
    }
    assert (buckets["0.0001"], buckets["0.005"], buckets["0.01"], buckets["+Inf"]) == (1, 2, 3, 4)
    assert f"{10**18 + 1}\n" in text, "a wallet is an integer, and no digit of it is lost"
    assert text.count("# TYPE") == 3


def test_a_failed_piece_of_work_is_timed_too() -> None:
    seconds = Histogram(metrics.SYNC)
    with pytest.raises(ValueError, match="invalid literal"):
        seconds.timed(int, "x")
    assert sum(seconds.counts) == 1


def test_pages_are_put_together_in_one_piece_a_metric() -> None:
    pages = [
        expose([sample(metrics.READY, 1), sample(metrics.START, 2)], process=name) for name in ("a", "b")
    ]
    whole = merge(pages)
    assert whole.count("# TYPE") == 2
    families = {family.name: family.samples for family in text_string_to_metric_families(whole)}
    assert [one.labels["process"] for one in families[metrics.READY.name]] == ["a", "b"]


# ---- pages


async def _raw(directory: Path, text: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(socket_of(directory, "core"))
    writer.write(text)
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_page_says_how_its_process_is(tmp_path: Path) -> None:
    trouble = ["it replays"]
    page = Page("core", lambda: [sample(metrics.SEQUENCE, 7)], lambda: trouble[0])
    async with serving(tmp_path, page):
        assert socket_of(tmp_path, "core").stat().st_mode & 0o077 == 0
        assert (await _raw(tmp_path, b"GET /health HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert (await _raw(tmp_path, b"GET /ready HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 503")
        assert await troubles(tmp_path) == {"core": "it replays"}
        trouble[0] = ""
        assert (await _raw(tmp_path, b"GET /ready HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await troubles(tmp_path) == {}
        assert (await _raw(tmp_path, b"GET /x HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404")
        assert (await _raw(tmp_path, b"POST /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405")
        assert await _raw(tmp_path, b"what\r\n\r\n") == b""
        text = await read(tmp_path, "core", "/metrics") or ""
        assert 'ringfence_sequence{process="core"} 7\n' in text
    assert not socket_of(tmp_path, "core").exists()


async def test_a_figure_that_cannot_be_computed_stops_nothing(tmp_path: Path) -> None:
    def measure() -> list[object]:
        raise KeyError("gone")

    async with serving(tmp_path, Page("core", measure)):  # type: ignore[arg-type]
        assert (await _raw(tmp_path, b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 500")
        assert (await _raw(tmp_path, b"GET /health HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_a_page_that_cannot_be_served_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("in the way")
    async with serving(tmp_path, Page("core")):
        assert await gather(tmp_path)


async def test_who_was_killed_is_missed_and_who_ended_well_is_not(tmp_path: Path) -> None:
    async with serving(tmp_path, Page("history")):
        pass
    killed = (
        "import asyncio, os, sys; from pathlib import Path; from ringfence.monitoring import Page, serving\n"
    )
    killed += (
        "async def run():\n async with serving(Path(sys.argv[1]), Page('core')): os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", killed + "asyncio.run(run())", tmp_path], check=False)
    listed = {
        "processes": [
            {"name": "gateway", "state": "running", "restarts": 3},
            {"name": "bitcoin", "state": "failed"},
        ]
    }
    (tmp_path / "run.json").write_text(json.dumps(listed))
    async with serving(tmp_path, Page("shadow")):
        text = await gather(tmp_path)
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    up = {one.labels["name"]: one.value for one in families[metrics.UP.name]}
    assert up == {"core": 0, "gateway": 0, "shadow": 1, "bitcoin": 0}
    restarts = {one.labels["name"]: one.value for one in families["ringfence_process_restarts"]}
    assert restarts == {"gateway": 3, "bitcoin": 0}
    assert {family for family in families if not family.startswith("ringfence_")} == set()


# ---- logs

HEX = "0123456789abcdef" * 4
MIXED = "fN1rOl4CXuln4XPwJZ4_uxXCtvyS5KvTAnTpl2SdwbKN"
ARMOUR = "-----BEGIN " + "EC PRIVATE KEY-----\nQUJD\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("api-signature: deadbeef", "deadbeef"),
        ("secret=tr0ub4dor, next", "tr0ub4dor"),
        ('{"password": "open sesame"}', "sesame"),
        ("{'otpToken': '123456'}", "123456"),
        ("Authorization: Bearer abc.def", "abc.def"),
        ("pin = 7777", "7777"),
        ("cookie: __Host-ringfence=abcdef", "abcdef"),
        (f"signed with {HEX}", HEX),
        (f"key 0x{HEX}", HEX),
        (f"a session {MIXED} ended", MIXED),
        (ARMOUR, "QUJD"),
        ("half " + ARMOUR[:40], "QUJD"),
        ("xprv9s21ZrQH143K3" + "QTDL4LXw2F7HEK3wJUD2nW2nRk4", "s21ZrQ"),
        ("raw " + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo" + "wMTIzNDU2Nzg5YWJj+/8=", "REVGR0"),
    ],
)
def test_what_has_the_name_or_the_shape_of_a_secret_is_taken_out(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert REDACTED in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "ready at sequence 12 after 0.31 s, 0 commands replayed",
        "I03: sums to zero: expected 0, found 1, at sequence 88",
        "the token of anna is locked",
        "passkeys for localhost",
        "0 sessions",
        "pinned to CPU 3",
        "/tmp/pytest-of-root/a0/core.sock",
        "/var/exchange/journal/00000000000000000000000000000001.segment",
        "XBT_USDT SOLUSDT .BXBT30M",
        "charter 0123456789abcdef",
        "cannot listen on 127.0.0.1:8040: address in use",
        "bcrt1q0xcqpzrky6eff2g52qdye53xkk9jxkvraulq5m",
    ],
)
def test_what_operators_read_stays(text: str) -> None:
    assert redact(text) == text


_LOGGING = """
import logging, sys
from ringfence.monitoring import set_up_logs
set_up_logs("core", context=lambda: {"trace_id": "ab"})
log = logging.getLogger("ringfence.core")
deep = {"cookie": sys.argv[1], "n": [1]}
log.info("signed %s", "n" + "4x" * 3, extra={"api_secret": sys.argv[1], "deep": deep, "raw": b"a"})
try:
    raise ValueError("password=" + sys.argv[1])
except ValueError:
    log.exception("it failed")
log.critical("the end is near")
log.info("goodbye")
raise RuntimeError("token=" + sys.argv[1])
"""


def test_a_log_is_lines_of_json_and_no_field_of_them_holds_a_secret() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOGGING, "hunter2hunter2"], capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert "hunter2" not in done.stderr
    assert [line["level"] for line in lines] == ["info", "error", "critical", "info", "critical"]
    assert lines[0]["process"], lines[0]["logger"] == ("core", "ringfence.core")
    assert lines[0]["deep"] == {"cookie": REDACTED, "n": [1]}
    assert lines[0]["trace_id"] == "ab"
    assert "ValueError" in lines[1]["exception"]
    assert last_words(done.stderr.encode()) == f"the process ends: RuntimeError: token={REDACTED}"
    assert last_words("\n".join(done.stderr.splitlines()[:4]).encode()) == "the end is near"


def test_last_words_are_found_in_other_programs_logs_too() -> None:
    assert (
        last_words(b"2026-01-01 core CRITICAL the disk is full\nTraceback")
        == "2026-01-01 core CRITICAL the disk is full"
    )
    assert last_words(b"a\nb\n") == "b"
    assert last_words(b"") == "it said nothing"
