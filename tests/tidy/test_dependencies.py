"""Protocols that have lost coins elsewhere come into no lock file, by whatever way."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BANNED = (
    "gg18",
    "gg20",
    "tss-lib",
    "tsslib",
    "lindell17",
    "multi-party-ecdsa",
    "cggmp",
    "paillier",
    "wasm-mps",
    "dkls-wasm",
)
"""Key extraction by malformed Paillier keys, missing proofs or aborts; licences that forbid us (specification, 1.3)."""


def names_in(lock: Path) -> set[str]:
    if lock.suffix == ".json":
        return {name.lower() for name in re.findall(r'"node_modules/([^"]+)"', lock.read_text())}
    return {package["name"].lower() for package in tomllib.loads(lock.read_text())["package"]}


@pytest.mark.parametrize(
    "lock",
    [
        "uv.lock",
        "mpc-engine/Cargo.lock",
        "deploy/local/anvil/package-lock.json",
        "deploy/local/age/package-lock.json",
        "web/package-lock.json",
    ],
)
def test_no_lock_file_has_a_protocol_that_is_banned(lock: str) -> None:
    names = names_in(ROOT / lock)
    assert names
    assert not [name for name in names for banned in BANNED if banned in name]


def test_what_makes_signatures_is_pinned_to_one_version() -> None:
    wanted = tomllib.loads((ROOT / "mpc-engine" / "Cargo.toml").read_text())["dependencies"]
    for name in ("dkls23-secp256k1", "frost-ed25519"):
        assert wanted[name].startswith("="), name
