"""What the offline page takes: `python benchmarks/proofs_browser.py [--json] [--leaves N]`.

Files of 2^21 leaves (some 700,000 accounts) are written in both formats, and the page verifies them in Chromium: the
whole tree, signatures, the sidecar, and one person's leaves. The clock is the page's own. Beside it what the
browser's process for the page took as the system counts it: seconds of a core, which other work on the machine changes
less than the clock, and the most memory.
"""

import json
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.chromium import ARGUMENTS, CHROMIUM  # noqa: E402
from tests.browser.porl_files import Keys, Snapshot, book_of, index_of  # noqa: E402

from ringfence.testing.measure import Result, report  # noqa: E402

PAGE = ROOT / "src" / "ringfence" / "assurance" / "proofs" / "verifier.html"
LIMIT_SECONDS = 12
LIMIT_MIB = 1024
PERSON = 3
LEAVES = int(sys.argv[sys.argv.index("--leaves") + 1]) if "--leaves" in sys.argv else 2**21


class Renderer(Thread):
    """The most memory that one renderer had while this ran, in MiB, and the seconds of a core that it took."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mib, self.cpu, self.done = 0.0, 0.0, Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self.done.wait(0.05):
            for child in me.children(recursive=True):
                try:
                    if "--type=renderer" in child.cmdline():
                        self.mib = max(self.mib, child.memory_info().rss / 2**20)
                        times = child.cpu_times()
                        self.cpu = max(self.cpu, times.user + times.system)
                except psutil.Error:
                    continue


def write(folder: Path) -> tuple[Snapshot, dict[str, list[Path]]]:
    book = book_of(LEAVES // 3)
    snapshot = Snapshot(Keys(), book=book, base_bits=8, leaves_min=LEAVES).build()
    assert len(snapshot.placed) == LEAVES
    files = snapshot.files() | {"index.json": index_of(snapshot.keys, [snapshot])}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    v1 = ["XBt.liabilities.csv", "XBt.bind", "XBt.header", "index.json"]
    return snapshot, {"v2": [folder / "XBt.porl2"], "v1": [folder / name for name in v1]}


def verify(page: Page, snapshot: Snapshot, files: list[Path]) -> dict[str, Any]:
    page.goto(PAGE.as_uri())
    page.set_input_files("#pick", files)
    typed = {"venue": snapshot.keys.venue.hex(), "account": str(PERSON), "login": snapshot.book[PERSON][0]}
    typed |= {"key": snapshot.nonce(PERSON).hex(), "expect": str(snapshot.balance(PERSON))}
    for field, value in typed.items():
        page.fill(f"#{field}", value)
    page.select_option("#unit", "units")
    page.click("#go")
    result: dict[str, Any] = page.wait_for_function(
        "() => window.ringfenceResult", timeout=300_000
    ).json_value()
    assert result["verdict"] == 0, json.dumps(result, indent=2)
    return result


def results() -> Iterator[Result]:
    label = "2m" if LEAVES == 2**21 else str(LEAVES)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        snapshot, files = write(Path(folder))
        for form, name in (("v2", "proofs.browser_verify"), ("v1", "proofs.browser_verify_v1")):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = browser.new_page()
            renderer = Renderer()
            renderer.start()
            result = verify(page, snapshot, files[form])
            renderer.done.set()
            renderer.join()
            browser.close()
            spent = result["seconds"]
            peer = f"the limit of {LIMIT_SECONDS} s"
            yield Result(f"{name}_{label}_seconds", spent, "s", peer, spent / LIMIT_SECONDS)
            yield Result(
                f"{name}_{label}_cpu_seconds", renderer.cpu, "s", "wall of the page", renderer.cpu / spent
            )
            peer = f"the limit of {LIMIT_MIB} MiB"
            yield Result(f"{name}_{label}_peak_mib", renderer.mib, "MiB", peer, renderer.mib / LIMIT_MIB)
    writer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Result(f"proofs.browser_files_{label}_writer_mib", writer, "MiB")


if __name__ == "__main__":
    report(results())
