"""What the page of controls says is so: its tests are there, its figures are today's, no route is in no family."""

import ast
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from ringfence.exchange.gateway.rest import ROUTES

ROOT = Path(__file__).parents[2]
CONTROLS_OF_THE_SPECIFICATION = 31


@cache
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("security_page", ROOT / "docs" / "security_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["security_page"] = module
    spec.loader.exec_module(module)
    return module


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


NAMED = sorted({test for one in (*maker().CONTROLS, *maker().FAMILIES) for test in one.tests})


def test_the_page_is_what_its_source_says() -> None:
    """If this fails: python docs/generate.py"""
    assert maker().PAGE.read_text() == maker().security_page()


@pytest.mark.parametrize("test", NAMED)
def test_every_test_that_is_named_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert names_in(file)
    assert not name or name in names_in(file)


def test_no_control_is_left_out_and_none_is_twice() -> None:
    names = [one.name for one in maker().CONTROLS]
    assert len(names) == len(set(names)) >= CONTROLS_OF_THE_SPECIFICATION
    # Whoever takes the last test of a control away says here that nothing holds it any more.
    assert {one.name for one in maker().CONTROLS if not one.tests} == {
        "Mass assignment",
        "Supply and build",
    }


def test_every_route_is_in_the_families_that_all_are_in_and_in_one_of_its_own() -> None:
    families = {one.id: one for one in maker().FAMILIES}
    assert list(families) == [f"API{number}" for number in range(1, 11)]
    for route in ROUTES.values():
        assert all(families[name].covers(route) for name in ("API4", "API5", "API7", "API8", "API9"))
        own = [name for name in ("API1", "API3", "API6") if families[name].covers(route)]
        assert len(own) == 1, f"{route.method} {route.path} is in {own}"


def test_the_gateway_speaks_to_nobody_on_the_network() -> None:
    """It listens, and asks processes of its own user by Unix sockets; whatever a request says, it connects nowhere."""
    opens = (
        "create_connection",
        "open_connection",
        "urlopen",
        "ClientSession",
        "HTTPConnection",
        "HTTPSConnection",
        "ws_connect",
    )
    for path in (ROOT / "src" / "ringfence" / "exchange" / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = (
                node.attr
                if isinstance(node, ast.Attribute)
                else node.id
                if isinstance(node, ast.Name)
                else ""
            )
            assert name not in opens, f"{path.name} opens a connection: where to?"
