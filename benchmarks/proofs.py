"""Proofs of liabilities for a million accounts: writing, checking as a whole, and committing to one minute.

    python benchmarks/proofs.py [--json] [--accounts 1000000] [--runs 3]

Peers are the limits of docs/reference/proofs.md's bars, which are the published tool's figures and what we hold
ourselves to: writing 20 CPU seconds and 1.4 GiB, checking 2^21 leaves 10, a minute with 10,000 changed accounts 0.5.
Figures are CPU seconds of one process; each run is a process of its own, and the median is shown.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ringfence.assurance.proofs.claims import Claims, Positions, claims_of
from ringfence.assurance.proofs.claims_tree import ClaimsTree
from ringfence.assurance.proofs.header import Cut
from ringfence.assurance.proofs.liabilities import Coins, Filed, Names, write_asset
from ringfence.assurance.proofs.secrets import account_nonce
from ringfence.assurance.proofs.verify import Claimant, verify_bitmex, verify_porl2
from ringfence.exchange.engine import Engine
from ringfence.exchange.engine.snapshot import mapped
from ringfence.testing.play import START_NS, opening
from ringfence.testing.proof_operator import EPOCH_KEY, publisher_of
from ringfence.units.limits import ASSETS_MAX

LIMITS = {
    "proofs.generate_1m_cpu_seconds": (20.0, "CPU s"), "proofs.generate_1m_both_formats_cpu_seconds": (40.0, "CPU s"),
    "proofs.generate_1m_memory_gib": (1.4, "GiB"), "proofs.verify_2m_cpu_seconds": (10.0, "CPU s"),
    "proofs.verify_2m_bitmex_cpu_seconds": (10.0, "CPU s"), "proofs.file_1m_mb": (90.0, "MB"),
    "proofs.minute_commit_cpu_seconds": (0.5, "CPU s"), "proofs.minute_first_cpu_seconds": (0.0, "CPU s"),
}  # fmt: skip
"""By name: the most that it may be, 0 = no bar."""
CHANGED = 10_000
_NOTHING = (0,) * ASSETS_MAX


def book(accounts: int) -> Claims:
    """Return claims as a venue has them: three in ten empty, one in ten dust, the rest log-normal up to 20,000 XBT."""
    rng = np.random.default_rng(1)
    balances = np.minimum(np.exp(rng.normal(np.log(2e6), 3, accounts)), 2e12).astype(np.int64)
    kind = rng.random(accounts)
    balances[kind < 0.3] = 0
    dust = (kind >= 0.3) & (kind < 0.4)
    balances[dust] = rng.integers(1, 1_001, int(dust.sum()))
    equities = np.zeros((ASSETS_MAX, accounts + 1), np.int64)
    equities[0, 1:] = balances
    held = accounts // 3
    positions = Positions(
        rng.integers(1, accounts + 1, held), rng.integers(1, 8, held), rng.integers(-100, 100, held),
        rng.integers(1, 10**9, held),
    )  # fmt: skip
    total = (int(balances.sum()), *_NOTHING[1:])
    return Claims(1, 0, accounts, 1, equities, equities, positions, {}, total, _NOTHING, _NOTHING, _NOTHING)


def write(claims: Claims, *, with_v1: bool) -> Filed:
    publisher = publisher_of("bench")
    cut = Cut(
        accounts_root="00" * 32, asset="XBt", block_hash="00" * 32, height=840_000, marks={}, scale=8, sequence=1,
        snapshot=1, state_root="00" * 32, timestamp="2026-11-24T12:00:00.000Z", venue=publisher.venue.hex(),
    )  # fmt: skip
    return write_asset(
        0, claims, cut, names=Names(EPOCH_KEY, ()), coins=Coins(claims.wallets[0], 0, 0), previous=bytes(32),
        reserves=bytes(32), publisher=publisher, shuffle_key=bytes(32), with_v1=with_v1,
    )  # fmt: skip


def measure(what: str, accounts: int) -> dict[str, float]:
    """Measure one thing in this process."""
    if what == "minute":
        return _minute(accounts)
    claims = book(accounts)
    began = time.process_time()
    filed = write(claims, with_v1=what == "both")
    took = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    largest = int(np.argmax(claims.equities[0]))
    claimant = Claimant(
        largest, f"account-{largest}", account_nonce=account_nonce(EPOCH_KEY, "XBt", largest),
        expected=int(claims.equities[0, largest]),
    )  # fmt: skip
    began = time.process_time()
    if what == "both":
        verify_bitmex(filed.csv, claimant, header=filed.header, sidecar=filed.bind)
        return {
            "proofs.generate_1m_both_formats_cpu_seconds": took,
            "proofs.verify_2m_bitmex_cpu_seconds": time.process_time() - began,
        }
    verify_porl2(filed.porl2, claimant, venue=publisher_of("bench").venue)
    return {
        "proofs.generate_1m_cpu_seconds": took, "proofs.generate_1m_memory_gib": peak,
        "proofs.file_1m_mb": len(filed.porl2) / 1e6, "proofs.verify_2m_cpu_seconds": time.process_time() - began,
    }  # fmt: skip


def _state_file(path: Path, accounts: int) -> Engine:
    """Write the state of a venue with so many accounts as the core lays it out; a third of them hold positions."""
    engine = Engine(accounts=accounts + 1)
    engine.step(opening(accounts=4), timestamp_ns=START_NS)
    state, rng = engine.state, np.random.default_rng(1)
    state.header["n_accounts"] = accounts
    by_asset = state.margins.reshape(ASSETS_MAX, -1)
    by_asset[0, 1 : accounts + 1]["wallet"] = rng.integers(0, 10**10, accounts)
    held = accounts // 3
    positions = state.positions[1 : held + 1]
    positions["account"] = rng.integers(1, accounts + 1, held)
    positions["symbol"], positions["cost"] = rng.integers(1, 6, held), rng.integers(1, 10**9, held)
    positions["qty"] = 100_000 * rng.integers(-100, 100, held)
    state.header["n_positions"] = held + 1
    _lay_out(engine, path)
    return engine


def _lay_out(engine: Engine, path: Path) -> None:
    with open(path, "wb") as file:
        file.writelines(engine.snapshot())


def _minute(accounts: int) -> dict[str, float]:
    """A whole minute: the state's file, everybody's claims, the tree with what has changed, the sums of the line."""
    tree, rng, took = ClaimsTree(EPOCH_KEY), np.random.default_rng(2), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "1.snapshot"
        engine = _state_file(path, accounts)
        began = time.process_time()
        tree.update(claims_of(mapped(path), [], custody_account=0))
        first = time.process_time() - began
        wallets = engine.state.margins.reshape(ASSETS_MAX, -1)[0]["wallet"]
        for _ in range(5):
            wallets[rng.choice(accounts, min(CHANGED, accounts), replace=False) + 1] += 1
            _lay_out(engine, path)
            began = time.process_time()
            claims = claims_of(mapped(path), [], custody_account=0)
            tree.update(claims)
            for asset in range(ASSETS_MAX):
                claims.total(asset), claims.negative(asset)
            took.append(time.process_time() - began)
    return {
        "proofs.minute_first_cpu_seconds": first, "proofs.minute_commit_cpu_seconds": statistics.median(took)
    }  # fmt: skip


def runs(accounts: int, count: int) -> Iterator[tuple[str, float]]:
    """Yield (name, median) of each figure, every run in a process of its own."""
    for what in ("porl2", "both", "minute"):
        found: dict[str, list[float]] = {}
        for _ in range(count):
            told = subprocess.run(
                [sys.executable, __file__, "--only", what, "--accounts", str(accounts)],
                check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": "0"},
            )  # fmt: skip
            for name, value in json.loads(told.stdout).items():
                found.setdefault(name, []).append(value)
        for name, values in found.items():
            yield name, statistics.median(values)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=("porl2", "both", "minute"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measure(given.only, given.accounts)))
        return
    for name, value in runs(given.accounts, given.runs):
        limit, unit = LIMITS[name]
        row = {"name": name, "value": round(value, 3), "unit": unit}
        if limit:
            row |= {"peer": limit, "ratio": round(value / limit, 3)}
        if given.json:
            print(json.dumps(row), flush=True)
        else:
            bar = f"  {value / limit:5.2f} of {limit:g}" if limit else ""
            print(f"{name:<46} {value:9.3f} {unit}{bar}", flush=True)


if __name__ == "__main__":
    main()
