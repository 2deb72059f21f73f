"""Mutation: one small change of the code that handles money, and whether any test minds.

    python -m ringfence.testing.mutation [--sample N] [--seed S] [MODULE...]

A mutant is the source with one operator, constant, condition or statement changed, imported in a process of its own
(see testing/ablations/hook). The engine runs uncompiled, so that a mutant costs no compiling, and is held against
the shadow first: see docs/decisions for why this is not mutmut.
"""

import argparse
import ast
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ringfence.testing.ablations.hook import edit, source_of
from ringfence.testing.equivalents import EQUIVALENT

_SECONDS_MAX = 400
"""Several times what the slowest suite takes: a survivor on a busy machine is no kill."""
_E, _P = "ringfence.exchange.engine.", "ringfence.exchange.projections."
_SHADOW = "tests/differential/test_shadow.py::"
ENGINE_TESTS = (
    "tests/properties/test_rounding.py",
    "tests/properties/test_twins.py",
    *(f"{_SHADOW}test_a_market_of_small_numbers[{seed}]" for seed in (9, 10, 4, 16, 22, 18, 19, 8)),
    *(f"{_SHADOW}test_a_market_of_small_numbers_with_a_poor_fund[{seed}]" for seed in (9, 3, 7, 1)),
    "tests/properties/test_event_room.py",
    "tests/unit/test_setting_edges.py",
    _SHADOW + "test_everything_that_a_client_can_send[0]",
    _SHADOW + "test_a_leveraged_market_in_motion[0-2000000]",
    _SHADOW + "test_a_leveraged_market_in_motion[1-0]",
    _SHADOW + "test_a_market_whose_operator_changes_everything[1000-0]",
    _SHADOW + "test_a_market_in_trouble_with_deleveraging",
    "tests/unit/test_engine.py",
    "tests/unit/test_samples.py",
    "tests/unit/test_halting.py",
    "tests/scenarios",
    "tests/properties/test_engine_laws.py",
)
_TOO_SLOW = (
    "tests/scenarios/test_last_resorts.py::test_a_crowd_of_linked_orders_keeps_nobody_from_being_liquidated",
)
"""Half of the whole time where nothing is compiled."""
VIEW_TESTS = (
    "tests/properties/test_views.py",
    "tests/properties/test_liquidation_price.py",
)
SUITES: dict[str, tuple[str, ...]] = {
    **{
        _E + name: ENGINE_TESTS
        for name in (
            "arithmetic", "margin", "clearing", "liquidation", "insurance", "deleveraging", "funding", "settlement",
            "settings",
        )
    },
    _P + "ledger": ("tests/unit/test_ledger.py", *VIEW_TESTS),
    "ringfence.instruments.value": ("tests/properties/test_value.py", *VIEW_TESTS),
}  # fmt: skip
"""What must be held to 90 per cent, and what may kill its mutants."""


class Mutant(NamedTuple):
    """One change of one module."""

    module: str
    line: int
    what: str
    begin: int
    """Byte offsets of what is replaced."""
    end: int
    text: str

    @property
    def code(self) -> str:
        """The line of the source in which it begins."""
        raw = source_of(self.module).read_bytes()
        return raw[raw.rfind(b"\n", 0, self.begin) + 1 :].split(b"\n", 1)[0].decode().strip()

    @property
    def is_equivalent(self) -> bool:
        name, code = self.module.rsplit(".", 1)[-1], self.code
        return any((name, code) == (one.module, one.line) and self.what in one.changes for one in EQUIVALENT)

    def source(self) -> str:
        raw = source_of(self.module).read_bytes()
        return (raw[: self.begin] + self.text.encode() + raw[self.end :]).decode()


# ---- making them

_COMPARE = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
}  # fmt: skip
_ARITHMETIC = {ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.FloorDiv: "*", ast.BitAnd: "|", ast.BitOr: "&"}
_SYMBOLS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.BitAnd: "&", ast.BitOr: "|", ast.Lt: "<",
    ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


class _Maker(ast.NodeVisitor):
    def __init__(self, module: str) -> None:
        self._module = module
        self._raw = source_of(module).read_bytes()
        self._lines = [0]
        for line in self._raw.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self.made: list[Mutant] = []

    def make(self) -> list[Mutant]:
        for node in ast.parse(self._raw).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                self.visit(node)
        return self.made

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._lines[node.lineno - 1] + node.col_offset, self._lines[node.end_lineno - 1] + node.end_col_offset
        )  # fmt: skip

    def _add(self, node: ast.expr | ast.stmt, what: str, begin: int, end: int, text: str) -> None:
        self.made.append(Mutant(self._module, node.lineno, what, begin, end, text))

    def _between(self, node: ast.expr, left: ast.expr, right: ast.expr, old: str, new: str) -> None:
        begin, end = self._span(left)[1], self._span(right)[0]
        at = self._raw.find(old.encode(), begin, end)
        if at >= 0:
            self._add(node, f"{old} became {new}", at, at + len(old), new)

    # What is decided

    def visit_Compare(self, node: ast.Compare) -> None:
        if len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
            kind = type(node.ops[0])
            self._between(node, node.left, node.comparators[0], _SYMBOLS[kind], _COMPARE[kind])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        self._between(node, node.values[0], node.values[1], old, new)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        begin, end = self._span(node.test)
        self._add(node, "the condition was negated", begin, end, f"not ({self._raw[begin:end].decode()})")
        self.generic_visit(node)

    # What is worked out

    def visit_BinOp(self, node: ast.BinOp) -> None:
        kind = type(node.op)
        if kind in _ARITHMETIC:
            self._between(node, node.left, node.right, _SYMBOLS[kind], _ARITHMETIC[kind])
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.op, ast.Add | ast.Sub):
            old, new = ("+=", "-=") if isinstance(node.op, ast.Add) else ("-=", "+=")
            self._between(node.value, node.target, node.value, old, new)
        self._gone(node)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if type(node.value) is int:
            begin, end = self._span(node)
            for change in (1, -1):
                self._add(
                    node, f"{node.value} became {node.value + change}", begin, end, f"({node.value + change})"
                )

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        begin, _ = self._span(node)
        if isinstance(node.op, ast.Not | ast.USub) and not isinstance(node.operand, ast.Constant):
            inner = self._span(node.operand)[0]
            self._add(node, "the sign or the `not` is gone", begin, inner, "")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
            begin, end = self._span(node.func)
            other = "max" if node.func.id == "min" else "min"
            self._add(node, f"{node.func.id} became {other}", begin, end, other)
        self.generic_visit(node)

    # What is done

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self._gone(node)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if isinstance(node.targets[0], ast.Attribute):
            self._gone(node)
        self.generic_visit(node)

    def _gone(self, node: ast.stmt) -> None:
        begin, end = self._span(node)
        self._add(node, f"gone: {self._raw[begin:end].decode().splitlines()[0][:60]}", begin, end, "pass")

    def visit_Assert(self, node: ast.Assert) -> None:
        """What an assertion says is not money."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        # Decorators and annotations do nothing; a function for hints only has nothing to kill.
        if "prefetch" not in node.name:
            for statement in node.body:
                self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)


def mutants_of(module: str) -> list[Mutant]:
    """Return every mutant of a module that is still Python, in the order of the source."""

    def sound(mutant: Mutant) -> bool:
        try:
            compile(mutant.source(), module, "exec")
        except SyntaxError:
            return False
        return True

    return [mutant for mutant in _Maker(module).make() if sound(mutant)]


# ---- judging them


class Verdict(NamedTuple):
    mutant: Mutant
    is_killed: bool


ORIGINAL = -1
"""The number of the mutant that is none."""


def _run_here(module: str, number: int) -> int:
    if number != ORIGINAL:
        edit(module, mutants_of(module)[number].source())
    import pytest

    without = [f"--deselect={test}" for test in _TOO_SLOW]
    return pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--no-header", *without, *SUITES[module]])


def judge(mutant: Mutant, number: int) -> Verdict:
    """Run the tests against one mutant in a fresh process."""
    return Verdict(mutant, is_killed=not _passes(mutant.module, number))


def _passes(module: str, number: int) -> bool:
    """Return whether a module's tests pass against one mutant. One that does not come to an end is killed."""
    environment = {**os.environ, "RINGFENCE_ENGINE": "python"}
    words = [sys.executable, "-m", "ringfence.testing.mutation", "--one", module, str(number)]
    try:
        done = subprocess.run(words, env=environment, capture_output=True, timeout=_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def sampled(module: str, *, sample: int, seed: int) -> Iterator[tuple[Mutant, int]]:
    numbered = [
        (mutant, number) for number, mutant in enumerate(mutants_of(module)) if not mutant.is_equivalent
    ]
    if sample and sample < len(numbered):
        numbered = random.Random(f"{module} {seed}").sample(numbered, sample)
    yield from numbered


def main() -> None:
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", help="these alone, by the end of their names")
    parser.add_argument("--sample", type=int, default=12, help="mutants of each module, 0 = all")
    parser.add_argument("--seed", type=int, default=0, help="which of them")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="the last line is an object with the scores")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        sys.exit(_run_here(given.one[0], int(given.one[1])))
    chosen = [m for m in SUITES if not given.modules or m.rsplit(".", 1)[-1] in given.modules]
    scores: dict[str, float] = {}
    killed_sum = judged_sum = 0
    for module in chosen:
        if not _passes(module, ORIGINAL):
            sys.exit(f"{module}: its tests do not pass as it is, so they would seem to kill every mutant")
        with ThreadPoolExecutor(given.workers) as threads:
            pairs = sampled(module, sample=given.sample, seed=given.seed)
            verdicts = []
            for verdict in threads.map(lambda pair: judge(*pair), pairs):
                verdicts.append(verdict)
                if not verdict.is_killed:
                    print(f"    survived: line {verdict.mutant.line}: {verdict.mutant.what}", flush=True)
        killed = sum(verdict.is_killed for verdict in verdicts)
        killed_sum, judged_sum = killed_sum + killed, judged_sum + len(verdicts)
        scores[module] = killed / len(verdicts)
        every = mutants_of(module)
        same = sum(mutant.is_equivalent for mutant in every)
        print(
            f"{module}: {killed} of {len(verdicts)} killed, of {len(every)} mutants and {same} that change nothing",
            flush=True,
        )
    print(f"{killed_sum} of {judged_sum} killed: {100 * killed_sum / judged_sum:.1f} %")
    if given.json:
        print(json.dumps({"killed": killed_sum, "judged": judged_sum, "scores": scores}))


if __name__ == "__main__":
    main()
