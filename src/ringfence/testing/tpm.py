"""A real TPM in software, in a folder of its own."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from ringfence.custody.hsm.tpm import Tpm, is_installed

_SECONDS = 5.0


def can_run() -> bool:
    return is_installed() and shutil.which("swtpm") is not None


class SoftwareTpm:
    """swtpm over a folder of state; stopped at the end, its state stays."""

    def __init__(self, state: Path) -> None:
        self.state = state
        state.mkdir(exist_ok=True)
        # The path of a socket may not be longer than 107 bytes.
        self._sockets = Path(tempfile.mkdtemp(prefix="tpm"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Tpm:
        server = self._sockets / "tpm"
        words = [
            "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}", "--server", f"type=unixio,path={server}",
            "--ctrl", f"type=unixio,path={server}.ctrl", "--flags", "not-need-init,startup-clear",
        ]  # fmt: skip
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + _SECONDS
        while not server.exists():
            assert time.monotonic() < until, "swtpm does not start"
            time.sleep(0.01)
        return Tpm(f"swtpm:path={server}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(_SECONDS)
        shutil.rmtree(self._sockets)
