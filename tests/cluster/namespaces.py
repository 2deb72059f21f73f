"""Three machines' networks on this one: namespaces of Linux on a bridge, whose cables can be pulled."""

import contextlib
import os
import shutil
import subprocess
from types import TracebackType
from typing import Self

NETWORK = "10.77.0"
BRIDGE = "rfbridge"


def why_not() -> str:
    """Return why no network can be made here, empty if one can."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and iproute2"
    try:
        _ip("netns", "add", "rfprobe")
        _ip("netns", "del", "rfprobe")
    except subprocess.CalledProcessError:
        return "this kernel or container makes no network namespaces"
    return ""


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Network:
    """Namespaces `rf1` to `rf3`, each with one address; the test itself is on the bridge."""

    def __init__(self, count: int = 3) -> None:
        self.spaces = tuple(f"rf{number}" for number in range(1, count + 1))
        self.hosts = tuple(f"{NETWORK}.{number}" for number in range(1, count + 1))

    def __enter__(self) -> Self:
        self._remove()
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{NETWORK}.254/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        for space, host in zip(self.spaces, self.hosts, strict=True):
            _ip("netns", "add", space)
            _ip("link", "add", f"{space}out", "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", f"{space}out", "master", BRIDGE)
            _ip("link", "set", f"{space}out", "up")
            _ip("-n", space, "addr", "add", f"{host}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")
        return self

    def pull(self, number: int) -> None:
        """Pull a machine's cable: it reaches nobody, and nobody it."""
        _ip("link", "set", f"{self.spaces[number - 1]}out", "down")

    def plug(self, number: int) -> None:
        _ip("link", "set", f"{self.spaces[number - 1]}out", "up")

    def deafen(self, number: int, to: int) -> None:
        """Let a machine reach another one no more, which still reaches it: answers are lost."""
        _ip("-n", self.spaces[number - 1], "route", "add", "blackhole", f"{self.hosts[to - 1]}/32")

    def cure(self, number: int, to: int) -> None:
        _ip("-n", self.spaces[number - 1], "route", "del", "blackhole", f"{self.hosts[to - 1]}/32")

    def _remove(self) -> None:
        for space in self.spaces:
            # The cable goes by itself with its namespace, but not before the last process in it has gone.
            for arguments in (("link", "del", f"{space}out"), ("netns", "del", space)):
                with contextlib.suppress(subprocess.CalledProcessError):
                    _ip(*arguments)
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "del", BRIDGE)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()
