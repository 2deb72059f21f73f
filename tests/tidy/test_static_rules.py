"""What the source may not do, though the language can: each rule with the few places that need it, and why.

Beside these, ruff's S rules are on for all of src (see pyproject.toml), with a reason at each exception.
"""

import ast
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "ringfence"
Finder = Callable[[ast.AST], bool]


def name_of(node: ast.AST) -> str:
    """Return a dotted name as it is written, empty if it is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = name_of(node.value)
        return f"{before}.{node.attr}" if before else node.attr
    return ""


def is_call_of(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Call) and name_of(node.func) in names


def gives(node: ast.Call, keyword: str) -> bool:
    return any(one.arg == keyword for one in node.keywords)


# ---- the rules


def runs_text(node: ast.AST) -> bool:
    """Text that becomes a program."""
    return is_call_of(node, "eval", "exec", "compile", "__import__", "os.system", "os.popen", "marshal.loads")


def starts_a_shell(node: ast.AST) -> bool:
    shell = (isinstance(node, ast.Call) and gives(node, "shell")) or is_call_of(
        node, "asyncio.create_subprocess_shell"
    )
    return shell or is_call_of(node, "subprocess.getoutput", "subprocess.getstatusoutput")


def reads_objects(node: ast.AST) -> bool:
    """Bytes that become objects of any class: whoever writes them runs code here."""
    if is_call_of(node, "pickle.load", "pickle.loads", "pickle.Unpickler", "shelve.open", "dill.loads"):
        return True
    if isinstance(node, ast.ClassDef):
        return any(name_of(base) == "pickle.Unpickler" for base in node.bases)
    return is_call_of(node, "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load")


def tells_no_zone(node: ast.AST) -> bool:
    """A time of which nobody knows where it is so late."""
    if is_call_of(
        node, "datetime.utcnow", "datetime.utcfromtimestamp", "datetime.datetime.utcnow", "date.today"
    ):
        return True
    if not isinstance(node, ast.Call):
        return False
    name = name_of(node.func)
    if name.endswith("datetime.now"):
        return not node.args and not gives(node, "tz")
    if name.endswith("datetime.fromtimestamp"):
        return len(node.args) < 2 and not gives(node, "tz")
    return name in ("datetime", "datetime.datetime") and len(node.args) < 8 and not gives(node, "tzinfo")


def trusts_any_certificate(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword) and node.arg == "verify":
        return isinstance(node.value, ast.Constant) and node.value.value is False
    return name_of(node).endswith(("CERT_NONE", "_create_unverified_context"))


def compares_in_any_time(node: ast.AST) -> bool:
    """`==` between what is secret: how long it takes says how much was right."""
    if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
        return False
    names = [name_of(side).rpartition(".")[2] for side in (node.left, *node.comparators)]
    return any(re.fullmatch(r"(?:\w*_)?(?:secret|password|hmac|mac|otp|pin)", name) for name in names)


def _is_text(node: ast.AST) -> bool:
    """Return whether it is a part of a path: those are divided too."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def computes_in_floats(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is float
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return not _is_text(node.right) and not name_of(node.left).endswith(("directory", "folder"))
    return is_call_of(node, "float", "round", "np.float64", "math.sqrt", "math.floor", "math.ceil")


EVERYWHERE: dict[str, tuple[Finder, dict[str, str]]] = {
    "runs text": (runs_text, {
        "testing/ablations/hook.py": "It imports a module with a safeguard taken away, for tests alone.",
        "testing/mutation.py": "It asks whether a mutant is Python still, for tests alone.",
    }),
    "starts a shell": (starts_a_shell, {}),
    "reads objects": (reads_objects, {
        "daemons/judge_state.py": "Of a file that only its owner may write, and of the classes of one package alone.",
        "exchange/engine/native.py": "What compiled code says of an exception, in the memory of this process.",
        "exchange/projections/history/checkpoint.py": "Of a file that its owner alone may write; of named classes.",
    }),
    "tells no zone": (tells_no_zone, {}),
    "trusts any certificate": (trusts_any_certificate, {}),
    "compares in any time": (compares_in_any_time, {}),
}  # fmt: skip
"""Each rule with the files that may break it and the reason."""
MONEY = ("exchange/engine", "instruments", "units", "messages", "commitments", "exchange/projections/ledger.py",
         "custody/policy", "custody/wallets", "exchange/gateway/values.py", "exchange/gateway/commands.py",
         "exchange/gateway/parameters.py", "exchange/journal", "exchange/feed")  # fmt: skip
FLOATS = {
    "exchange/journal/etcd.py": "Seconds of patience with servers on the network: nothing is counted by them.",
    "exchange/journal/jetstream.py": "Seconds of patience with servers on the network: nothing is counted by them.",
    "instruments/specification.py": "Fractions of a listing, which are exact, and prices as the wire writes them.",
    "instruments/value.py": "A rank among five, as the wire writes it: nothing is worth more or less by it.",
}


def sources(*places: str) -> Iterator[Path]:
    for place in places:
        path = SRC / place
        yield from [path] if path.suffix else sorted(path.rglob("*.py"))


@functools.cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def found_in(path: Path, finder: Finder) -> list[str]:
    place = path.relative_to(SRC).as_posix()
    return [f"{place}:{getattr(node, 'lineno', 0)}" for node in nodes_of(path) if finder(node)]


def held(files: Iterator[Path], finder: Finder, excused: dict[str, str]) -> None:
    found = [one for path in files for one in found_in(path, finder)]
    places = {one.partition(":")[0] for one in found}
    assert places - set(excused) == set(), [one for one in found if one.partition(":")[0] not in excused]
    assert set(excused) - places == set(), "this exception is not needed any more"
    assert all(len(reason.split()) > 5 for reason in excused.values())


@pytest.mark.parametrize("rule", EVERYWHERE)
def test_the_source_keeps_to_it(rule: str) -> None:
    finder, excused = EVERYWHERE[rule]
    held(sources("."), finder, excused)


def test_money_is_whole_numbers() -> None:
    held(sources(*MONEY), computes_in_floats, FLOATS)


PLANTED = {
    runs_text: ["eval(x)", "exec(x)", "__import__(x)", "os.system(x)"],
    starts_a_shell: ["subprocess.run(x, shell=True)", "asyncio.create_subprocess_shell(x)"],
    reads_objects: ["pickle.loads(x)", "yaml.load(x)", "class A(pickle.Unpickler): pass"],
    tells_no_zone: ["datetime.now()", "datetime.utcnow()", "datetime.fromtimestamp(x)", "datetime(2026, 1, 1)",
                    "datetime.datetime.now()"],
    trusts_any_certificate: ["get(x, verify=False)", "a.verify_mode = ssl.CERT_NONE"],
    compares_in_any_time: ["self.secret == x", "x != record.otp_secret", "given == pin"],
    computes_in_floats: ["1.5", "a / b", "float(x)", "round(x)"],
}  # fmt: skip
ALLOWED = {
    tells_no_zone: ["datetime.now(UTC)", "datetime.now(tz=UTC)", "datetime(2026, 1, 1, tzinfo=UTC)",
                    "datetime.fromtimestamp(x, UTC)"],
    trusts_any_certificate: ["get(x, verify=path)"],
    compares_in_any_time: ["hmac.compare_digest(secret, x)", "spinning == x", "if not secret: pass"],
    computes_in_floats: ["a // b", 'folder / "name"', 'folder / f"{x}.log"', "self._directory / name", "1"],
    reads_objects: ["yaml.safe_load(x)", "pickle.dumps(x)"],
}  # fmt: skip


@pytest.mark.parametrize("finder", PLANTED, ids=lambda finder: finder.__name__)
def test_what_breaks_a_rule_is_found_and_nothing_else(finder: Finder) -> None:
    def is_found(text: str) -> bool:
        return any(finder(node) for node in ast.walk(ast.parse(text)))

    assert [text for text in PLANTED[finder] if not is_found(text)] == []
    assert [text for text in ALLOWED.get(finder, []) if is_found(text)] == []


# ---- pages

MARKUP = re.compile(
    r"\b(?:inner|outer)HTML\b|insertAdjacentHTML|document\.write|\{@html|\bsrcdoc\b|createContextualFragment|DOMParser"
    r"|\beval\s*\(|new Function\b|setTimeout\(\s*[\"'`]|javascript:|dangerouslySetInnerHTML"
)
"""Text that becomes markup or a program. Everything is set with `textContent`, or by Svelte, which escapes."""
_HANDLER = re.compile(r"<[a-z][^>]*\son[a-z]+\s*=\s*[\"']", re.IGNORECASE)
_ELSEWHERE = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)\s*=\s*[\"'](?:https?:)?//", re.IGNORECASE
)
PAGES = [
    path
    for folder in (
        "web/src",
        "web/index.html",
        "src/ringfence/exchange/gateway/pages/public",
        "src/ringfence/assurance/proofs",
    )
    for path in ([ROOT / folder] if (ROOT / folder).is_file() else sorted((ROOT / folder).rglob("*")))
    if path.suffix in (".html", ".js", ".ts", ".svelte") and "vendor" not in path.parts
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_makes_no_markup_of_text_and_loads_nothing_from_elsewhere(page: Path) -> None:
    text = page.read_text()
    assert not MARKUP.findall(text)
    if page.suffix == ".html":
        assert not _HANDLER.findall(text), "a handler in an attribute: the policy would not run it"
        assert not _ELSEWHERE.findall(text)


def test_what_makes_markup_of_text_is_found() -> None:
    for text in (
        "a.innerHTML = b",
        "{@html text}",
        "document.write(x)",
        "eval (x)",
        "new Function(x)",
        "setTimeout('x')",
    ):
        assert MARKUP.search(text), text
    assert _HANDLER.search('<a href="#" onclick="x()">')
    assert _ELSEWHERE.search('<script src="https://cdn.example/x.js">')
    assert not MARKUP.search("a.textContent = evaluate(b)")
    assert len(PAGES) > 40
