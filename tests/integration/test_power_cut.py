"""The power is cut: an ext4 image whose unsynced pages are thrown away, as a real machine throws them away.

RINGFENCE_POWER_CUTS=1000 makes it the long run. Needs root, a loop device and mkfs.ext4. Killing a process
tests nothing of this: the kernel keeps what it was given.
"""

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.exchange.journal import JournalError
from ringfence.testing.ablations.runner import by_name
from ringfence.testing.iron import acknowledged, check

CUTS = int(os.environ.get("RINGFENCE_POWER_CUTS", "8"))
IMAGE_BYTES = 48 << 20
_SEQUENCE_MAX = 10_000
SHUTDOWN, WITHOUT_FLUSHING_THE_LOG = 0x8004587D, (2).to_bytes(4, "little")


def call(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


class Machine:
    """A file system on an image, and the process that writes to it."""

    def __init__(self, home: Path) -> None:
        self.image, self.mount = home / "image", home / "disk"
        self.mount.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        call("mkfs.ext4", "-q", "-F", str(self.image))
        self.start()

    def start(self) -> None:
        call("mount", "-o", "loop", str(self.image), str(self.mount))

    def stop(self) -> None:
        call("umount", str(self.mount))

    def cut(self) -> None:
        """Take the power away from the disk: nothing that is not on it will come to it."""
        descriptor = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, WITHOUT_FLUSHING_THE_LOG)
        finally:
            os.close(descriptor)

    def live(self, seconds: float, *, without: str | None = None) -> int:
        """Run the core for a while, cut the power, and return what it had acknowledged."""
        module = ["ringfence.testing.ablations", "--iron", without] if without else ["ringfence.testing.iron"]
        words = [sys.executable, "-m", *module, str(self.mount / "x")]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        self.cut()
        process.send_signal(signal.SIGKILL)
        said = first + process.stdout.read()
        process.wait()
        self.stop()
        self.start()
        return acknowledged(said)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    if os.geteuid() != 0:
        pytest.skip("a file system is only mounted by root: the simulated power cuts stand in for it")
    if shutil.which("mkfs.ext4") is None or not Path("/dev/loop-control").exists():
        pytest.skip("no mkfs.ext4 or no loop device here: the simulated power cuts stand in for it")
    try:
        made = Machine(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no image can be mounted here: {error.stderr.strip()}")
    try:
        yield made
    finally:
        subprocess.run(["umount", "-l", str(made.mount)], capture_output=True)


def test_a_power_cut_loses_nothing_that_was_acknowledged(machine: Machine) -> None:
    dice = random.Random(2026)
    sequence = survived = 0
    for number in range(CUTS):
        if number and number % 50 == 0:
            print(f"{number} power cuts so far", flush=True)
        below = machine.live(dice.uniform(0.0, 0.12))
        there = check(machine.mount / "x", below)
        assert there >= below >= sequence
        survived += there > below
        sequence = there
        if sequence > _SEQUENCE_MAX:
            # A new life now and then: what a start replays and a check reads again grows with every cut.
            shutil.rmtree(machine.mount / "x")
            sequence = 0
    print(f"{CUTS} power cuts, nothing lost; {survived} times the batch under way had made it")


def test_without_a_sync_a_few_power_cuts_lose_what_was_acknowledged(machine: Machine) -> None:
    """The test of the test."""
    without = by_name("acknowledged before the sync")
    for _ in range(5):
        below = machine.live(0.1, without=without.name)
        try:
            check(machine.mount / "x", below)
        except (AssertionError, JournalError):
            return
    pytest.fail("five power cuts without a sync lost nothing")
