"""Pages and published files: what is there comes with its policy, and nothing else comes."""

import gzip
import re
from pathlib import Path

import pytest

from ringfence.assurance.proofs import seal
from ringfence.exchange.gateway import published
from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.pages import Pages


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name, text in {
        "trade/index.html": "<h1>trade</h1>", "trade/assets/app-1a2b.js": "export {}\n" * 50, "trade/secret.py": "no",
        "public/report.html": "<p>report", "elsewhere/index.html": "no", "secret.html": "no",
    }.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "public" / "link.html").symlink_to(tmp_path / "secret.html")
    return tmp_path


def test_a_folder_leads_to_its_index_and_names_are_known(home: Path) -> None:
    found = Pages(home)
    page = found.find("/trade/", takes_gzip=False)
    assert page is not None
    assert page.body == b"<h1>trade</h1>"
    assert b"default-src 'none'" in page.headers
    assert b"'unsafe" not in page.headers
    assert b"no-cache" in page.headers
    script = found.find("/trade/assets/app-1a2b.js", takes_gzip=True)
    assert script is not None
    assert gzip.decompress(script.body) == b"export {}\n" * 50
    assert b"content-encoding: gzip" in script.headers
    assert b"immutable" in script.headers


@pytest.mark.parametrize("path", ["/elsewhere/", "/secret.html", "/api/v1", "/", "//trade/"])
def test_other_roots_are_somebody_elses(home: Path, path: str) -> None:
    assert Pages(home).find(path, takes_gzip=False) is None


NOT_THERE = [
    "/trade", "/trade/secret.py", "/trade/../secret.html", "/trade/..", "/trade/%2e%2e/secret.html",
    "/trade//index.html", "/trade/assets/", "/public/link.html", "/trade/.hidden", "/trade/a/b/c/d.js", "/public/",
    "/trade/index.html\0",
]  # fmt: skip


@pytest.mark.parametrize("path", NOT_THERE)
def test_nothing_else_comes(home: Path, path: str) -> None:
    with pytest.raises(Refused) as caught:
        Pages(home).find(path, takes_gzip=False)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("ranged", "offset", "length"),
    [("", 0, 10), ("bytes=0-0", 0, 1), ("bytes=2-4", 2, 3), ("bytes=8-", 8, 2), ("bytes=8-99", 8, 2),
     ("bytes=-3", 0, 10), ("lines=1-2", 0, 10), ("bytes=1-2,4-5", 0, 10)],
)  # fmt: skip
def test_a_part_of_a_published_file(tmp_path: Path, ranged: str, offset: int, length: int) -> None:
    folder = tmp_path / "proofs" / "published" / "000001"
    folder.mkdir(parents=True)
    (folder / "XBt.porl2").write_bytes(bytes(10))
    part = published.find(tmp_path, "/proofs/000001/XBt.porl2", ranged)
    assert (part.offset, part.length, part.is_whole) == (offset, length, length == 10)


@pytest.mark.parametrize("ranged", ["bytes=10-", "bytes=10-11", "bytes=5-4"])
def test_a_part_that_is_not_there(tmp_path: Path, ranged: str) -> None:
    folder = tmp_path / "proofs" / "published"
    folder.mkdir(parents=True)
    (folder / "index.json").write_bytes(bytes(10))
    with pytest.raises(Refused) as caught:
        published.find(tmp_path, "/proofs/index.json", ranged)
    assert caught.value.status == 416


def test_a_published_page_may_run_the_verifiers_own_script_and_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "proofs" / "published"
    folder.mkdir(parents=True)
    page = seal.PAGE.read_bytes()
    for name in ("verifier.html", "report.html"):
        (folder / name).write_bytes(page)
    policies = {}
    for name in ("verifier.html", "report.html"):
        headers = published.find(tmp_path, f"/proofs/{name}", "").headers.decode()
        policies[name] = headers.partition("content-security-policy: ")[2].partition("\r\n")[0]
        assert "unsafe" not in policies[name]
    # The page says the same of itself, by hashes that were written into it.
    own = re.search(rb'Content-Security-Policy" content="([^"]+)"', page)
    assert own is not None
    for directive in own[1].decode().split("; ")[1:3]:
        assert directive in policies["verifier.html"]
    assert "script-src 'none'" in policies["report.html"]
