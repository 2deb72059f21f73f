"""How fast the engine is: `python benchmarks/engine.py [--json] [--quick]`.

Full margin checks, events written, one pinned core. Throughput is taken in chunks: of each chunk the
fastest of several runs ("undisturbed"), and beside it the median whole run. Every run starts from a
fresh engine. The plain-Python build of the same source runs in the same session as the floor.
"""

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from ringfence.testing.measure import Result, pin_to_one_core, report

QUICK = "--quick" in sys.argv[1:]
RUNS = 2 if QUICK else 7
CHUNK = 1024
FLOOR_COMMANDS = 3_000
TARGETS = {"s1k": 16.0, "m10k": 10.0, "m10kA": 8.0, "ec": 16.0}


def fresh(work):
    """Return an engine with the books filled, its memory touched."""
    from ringfence.exchange.engine import Engine

    accounts = int(work.setup["account"].max())
    engine = Engine(accounts=accounts + 2, orders=1 << 18)
    stamp = _start_ns()
    for begin in range(0, len(work.setup), 1 << 14):
        engine.step(work.setup[begin : begin + (1 << 14)], timestamp_ns=stamp)
    return engine


def _start_ns():
    from ringfence.testing.workloads import START_NS

    return START_NS


def chunk_times(work, commands, *, chunk, runs):
    """Return nanoseconds, shape (runs, chunks)."""
    times = np.zeros((runs, len(range(0, len(commands), chunk))), np.int64)
    clock = time.perf_counter_ns
    stamp = _start_ns()
    for run in range(runs):
        engine = fresh(work)
        parts = [commands[k : k + chunk] for k in range(0, len(commands), chunk)]
        gc.collect()
        gc.disable()
        row = times[run]
        for k, part in enumerate(parts):
            started = clock()
            engine.step(part, timestamp_ns=stamp)
            row[k] = clock() - started
        gc.enable()
    return times


def per_second(count, ns):
    return count * 1e9 / ns


def throughput() -> Iterator[Result]:
    from ringfence.testing.workloads import workload

    floor = plain_python_per_second()
    yield Result("engine.plain_python_per_second.s1k", floor, "commands/s", "the same source, not compiled")
    for name, target in TARGETS.items():
        work = workload(name)
        times = chunk_times(work, work.commands, chunk=CHUNK, runs=RUNS)
        best = per_second(len(work.commands), times.min(axis=0).sum())
        yield Result(
            f"engine.commands_per_second.{name}", best, "commands/s",
            f"the target of {target:g} M/s", best / (target * 1e6),
        )  # fmt: skip
        typical = per_second(len(work.commands), median(times.sum(axis=1).tolist()))
        yield Result(
            f"engine.commands_per_second.{name}.median_run", typical, "commands/s",
            "plain Python", typical / floor,
        )  # fmt: skip
        yield Result(f"engine.chunk_ns_per_command.{name}.p99", float(np.percentile(times, 99)) / CHUNK, "ns")
        few = work.commands[: 20_000 if QUICK else 200_000]
        singles = chunk_times(work, few, chunk=1, runs=max(2, RUNS // 2))
        yield Result(
            f"engine.commands_per_second.{name}.batch_1",
            per_second(len(few), singles.min(axis=0).sum()), "commands/s",
            "batches of 1024", per_second(len(few), singles.min(axis=0).sum()) / best,
        )  # fmt: skip


def plain_python_per_second():
    code = (
        "import time\n"
        "from benchmarks.engine import FLOOR_COMMANDS, _start_ns, fresh\n"
        "import numpy as np, sys\n"
        "from ringfence.testing.workloads import Workload\n"
        "from ringfence.messages.records import COMMAND\n"
        "setup = np.load(sys.argv[1]).view(COMMAND); flow = np.load(sys.argv[2]).view(COMMAND)\n"
        "engine = fresh(Workload('floor', setup, flow))\n"
        "started = time.perf_counter()\n"
        "engine.step(flow, timestamp_ns=_start_ns())\n"
        "print(len(flow) / (time.perf_counter() - started))\n"
    )
    from ringfence.testing.workloads import SMALL, workload

    work = workload("s1k", SMALL)
    with tempfile.TemporaryDirectory() as folder:
        setup, flow = Path(folder, "setup.npy"), Path(folder, "flow.npy")
        np.save(setup, work.setup.view(np.uint8))
        np.save(flow, work.commands[:FLOOR_COMMANDS].view(np.uint8))
        return float(in_build("python", code, str(setup), str(flow)))


def in_build(build, code, *arguments):
    """Run code in a fresh process with another build of the engine; return what it printed."""
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "RINGFENCE_ENGINE": build, "PYTHONPATH": str(root)},
    )
    return done.stdout


def feature_costs() -> Iterator[Result]:
    """What single features cost: the s1k flow with the feature switched on in every order."""
    from ringfence.messages.commands import Command, OrderFlag
    from ringfence.messages.records import COMMAND
    from ringfence.testing.workloads import Workload, workload

    work = workload("s1k")
    flow = work.commands[:200_000]
    places = flow["kind"] == Command.PLACE
    passive = places & (flow["flags"] & int(OrderFlag.IOC) == 0)

    def cost(changed, setup=None):
        base = Workload("feature", work.setup if setup is None else setup, changed)
        return chunk_times(base, changed, chunk=CHUNK, runs=RUNS).min(axis=0).sum() / len(changed)

    plain = cost(flow)

    def variant(field, where, value):
        changed = flow.copy()
        changed[field][where] = value
        return changed

    setup = work.setup.copy()
    accounts = int(setup["account"].max())
    leverage = np.zeros(accounts, COMMAND)
    leverage["kind"], leverage["symbol"], leverage["qty"] = Command.SET_LEVERAGE, 1, 1_000
    leverage["account"] = np.arange(1, accounts + 1)
    filling = np.flatnonzero(setup["kind"] == Command.PLACE)[0]
    isolated = np.concatenate([setup[:filling], leverage, setup[filling:]])
    variants = {
        "clordid": cost(variant("clid", places, np.arange(1, np.count_nonzero(places) + 1))),
        "post_only": cost(variant("flags", passive, flow["flags"][passive] | int(OrderFlag.POST_ONLY))),
        "day": cost(variant("flags", passive, flow["flags"][passive] | int(OrderFlag.DAY))),
        "iceberg": cost(variant("display", passive, 100)),
        "hidden": cost(variant("display", passive, 0)),
        "isolated_margin": cost(_shifted(flow, accounts), isolated),
    }
    yield Result("engine.ns_per_command.s1k", plain, "ns")
    for name, ns in variants.items():
        yield Result(
            f"engine.feature_cost_ns.{name}", ns - plain, "ns", "of a command without it", ns / plain
        )
    code = (
        "from benchmarks.engine import *\n"
        "from ringfence.testing.workloads import workload\n"
        "pin_to_one_core(); work = workload('s1k'); flow = work.commands[:200_000]\n"
        "print(chunk_times(work, flow, chunk=CHUNK, runs=RUNS).min(axis=0).sum() / len(flow))\n"
    )
    unchecked = float(in_build("unchecked", code))
    yield Result(
        "engine.feature_cost_ns.index_checks", plain - unchecked, "ns", "without checks", plain / unchecked
    )


def _shifted(flow, by):
    """Return the flow with handles that name the same orders after `by` more commands went before."""
    changed = flow.copy()
    named = changed["handle"] != 0
    changed["handle"][named] += np.uint64(by << 32)
    return changed


def latency() -> Iterator[Result]:
    """Constant arrival interval; latency counts from the planned arrival (no coordinated omission)."""
    from ringfence.testing.workloads import workload

    work = workload("s1k")
    clock = time.perf_counter_ns
    stamp = _start_ns()
    for rate in (250_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000):
        best = None
        for _ in range(2 if QUICK else 5):
            engine = fresh(work)
            count = min(len(work.commands), rate // 2)
            interval = 1e9 / rate
            ends, times, done = [], [], 0
            gc.collect()
            gc.disable()
            started = clock() + 1000
            while done < count:
                due = min(int((clock() - started) / interval) + 1, count, done + CHUNK)
                if due > done:
                    engine.step(work.commands[done:due], timestamp_ns=stamp)
                    times.append(clock())
                    ends.append(due)
                    done = due
            gc.enable()
            batches = np.diff([0, *ends])
            waits = np.repeat(np.array(times) - started, batches) - np.arange(count) * interval
            points = np.percentile(waits[count // 20 :], [50, 99, 99.9]) / 1e3
            if best is None or points[1] < best[1]:
                best = points
        for label, value in zip(("p50", "p99", "p99.9"), best, strict=True):
            yield Result(f"engine.latency_us.at_{rate // 1000}k_per_second.{label}", float(value), "us")


def replay_and_snapshots() -> Iterator[Result]:
    from ringfence.exchange.engine import Engine
    from ringfence.testing.workloads import workload

    work = workload("m10k")
    stamp = _start_ns()

    def replay():
        engine = fresh(work)
        started = time.perf_counter()
        for begin in range(0, len(work.commands), 4096):
            engine.step(work.commands[begin : begin + 4096], timestamp_ns=stamp)
        return len(work.commands) / (time.perf_counter() - started), engine

    runs = [replay() for _ in range(max(3, RUNS // 2))]
    rate = median(run[0] for run in runs)
    yield Result("engine.replay_per_second", rate, "commands/s", "the target of 8 M/s", rate / 8e6)
    engine = fresh(workload("m10kA"))
    pauses = []
    for _ in range(5):
        started = time.perf_counter_ns()
        child = os.fork()
        if child == 0:
            os._exit(0)
        pauses.append((time.perf_counter_ns() - started) / 1e6)
        os.waitpid(child, 0)
    yield Result(
        "engine.snapshot_pause_ms.1m_accounts", median(pauses), "ms", "the target of 2 ms", median(pauses) / 2
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "snapshot")
        started = time.perf_counter()
        engine.save(path)
        yield Result("engine.snapshot_write_seconds.1m_accounts", time.perf_counter() - started, "s")
        started = time.perf_counter()
        loaded = Engine.load(path)
        yield Result("engine.snapshot_load_seconds.1m_accounts", time.perf_counter() - started, "s")
        assert loaded.digest() == engine.digest()
    started = time.perf_counter()
    engine.digest()
    yield Result("engine.digest_ms.1m_accounts", (time.perf_counter() - started) * 1e3, "ms")


def compiling() -> Iterator[Result]:
    code = (
        "import time; t = time.perf_counter()\n"
        "import ringfence.exchange.engine\n"
        "print(time.perf_counter() - t)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(__file__).resolve().parents[1]
        environment = {**os.environ, "XDG_CACHE_HOME": folder, "PYTHONPATH": str(root)}
        for name, target in (("cold_compile_seconds", 15.0), ("warm_import_seconds", 1.0)):
            done = subprocess.run(
                [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
            )
            value = float(done.stdout)
            yield Result(f"engine.{name}", value, "s", f"the target of {target:g} s", value / target)


def main() -> None:
    pin_to_one_core()
    for part in (compiling, throughput, replay_and_snapshots, latency, feature_costs):
        report(part())


if __name__ == "__main__":
    main()
