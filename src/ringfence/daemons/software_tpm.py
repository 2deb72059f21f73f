"""A TPM in software beside a co-signer's token: swtpm, which becomes this process. For development.

    python -m ringfence.daemons.software_tpm DIRECTORY NAME

Its state is in `custody/cosigners/NAME/tpm-state`; whoever brings back a copy of it brings back its counters.
Exit status: 69 swtpm is not installed, else swtpm's own.
"""

import os
import sys
from pathlib import Path

SOCKET = "tpm.sock"
TCTI = f"swtpm:path={SOCKET}"
"""Relative to the co-signer's folder: the path of a socket may not be longer than 107 bytes."""
EXIT_MISSING = 69


def main() -> None:
    folder = Path(sys.argv[1]).absolute() / "custody" / "cosigners" / sys.argv[2]
    (folder / "tpm-state").mkdir(mode=0o700, exist_ok=True)
    os.chdir(folder)
    words = [
        "swtpm", "socket", "--tpm2", "--tpmstate", "dir=tpm-state", "--server", f"type=unixio,path={SOCKET},mode=0600",
        "--ctrl", f"type=unixio,path={SOCKET}.ctrl,mode=0600", "--flags", "not-need-init,startup-clear",
    ]  # fmt: skip
    try:
        os.execvp("swtpm", words)  # noqa: S606
    except OSError as error:
        print(f"swtpm cannot run: {error}. Debian package swtpm", file=sys.stderr)
        sys.exit(EXIT_MISSING)


if __name__ == "__main__":
    main()
