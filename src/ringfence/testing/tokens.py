"""SoftHSM tokens in a folder of their own, for tests and for the embedded default."""

import os
import subprocess
from pathlib import Path

import pkcs11

from ringfence.custody.hsm import softhsm_module

PIN, OFFICER_PIN = "4711-0815-42", "officer-4711-0815"


def make_token(folder: Path, label: str) -> Path:
    """Make an empty token in a folder and return where its files are. `SOFTHSM2_CONF` points at it from then on.

    One process sees one configuration at a time: tokens of another one that are open are closed.
    """
    tokens = folder / "tokens"
    tokens.mkdir(parents=True, exist_ok=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    configure(configuration)
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", OFFICER_PIN],
        check=True, capture_output=True, env=os.environ | {"SOFTHSM2_CONF": str(configuration)},
    )  # fmt: skip
    return tokens


def configure(configuration: Path) -> None:
    """Point SoftHSM at a configuration, for this process and its children; it reads it when it is initialised."""
    if os.environ.get("SOFTHSM2_CONF") == str(configuration):
        return
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    library = pkcs11.lib(str(module()))
    library.finalize()


def module() -> Path:
    """Return SoftHSM's module. Raises RuntimeError if it is not installed."""
    found = softhsm_module()
    if found is None:
        raise RuntimeError("SoftHSM is not installed: Debian package softhsm2")
    return found
