"""What the gateway says of itself, held against it: requests made from its own document, good ones and bad ones.

Made by schemathesis, signed with a key that may do everything. RINGFENCE_SCHEMA_EXAMPLES sets how many for each
operation: 15 in the default run, 1,000 and more in `nox -s schema`.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from ringfence.exchange.gateway import swagger
from ringfence.exchange.gateway.rest import ROUTES
from ringfence.testing.client import sign
from ringfence.testing.person import Person
from ringfence.testing.venue import Venue

from .conftest import ALICE
from .examples import API

EXAMPLES = int(os.environ.get("RINGFENCE_SCHEMA_EXAMPLES", "6"))
_SEED = int(os.environ.get("RINGFENCE_SEED", "0"))
SCHEMA = schemathesis.openapi.from_dict(swagger.document("127.0.0.1", "http"))
OPERATIONS = {one.ok().label: one.ok() for one in SCHEMA.get_all_operations() if isinstance(one, Ok)}
_CHECKS = [
    CHECKS.get_one(name)
    for name in ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
]


class Signs(requests.auth.AuthBase):
    """Signs a request as it goes over the wire, whatever was made of it."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        assert request.method is not None
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else body
        expires = int(time.time()) + 30
        request.headers["api-key"], request.headers["api-expires"] = ALICE.id, str(expires)
        request.headers["api-signature"] = sign(ALICE.secret, request.method, request.path_url, expires, raw)
        return request


def route_of(label: str) -> tuple[str, str]:
    method, path = label.removeprefix("/").split(" ")
    return method, path.removeprefix(API)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as one:
        yield one


@pytest.fixture(scope="module")
def counted() -> Iterator[Counter[int]]:
    count: Counter[int] = Counter()
    yield count
    print(
        f"\n{count.total()} requests to {len(OPERATIONS)} operations, by status: {dict(sorted(count.items()))}"
    )


def test_every_route_is_in_the_document() -> None:
    assert {(method, path) for method, path in ROUTES} == {
        tuple(label.replace("/api/v1", "").split(" ")) for label in OPERATIONS
    }


OF_PAGE = [label for label in OPERATIONS if ROUTES[route_of(label)].for_page]


@pytest.mark.parametrize("label", [label for label in OPERATIONS if label not in OF_PAGE])
def test_no_request_makes_it_fail_and_no_answer_breaks_its_word(
    venue: Venue, session: requests.Session, counted: Counter[int], label: str
) -> None:
    hold(label, counted, lambda case: case.call(base_url=venue.url + API, session=session, auth=Signs()))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    unlimited = {"requests_per_minute": 0}
    with Venue(tmp_path_factory.mktemp("house"), accounts=1, people=True, limits=unlimited) as running:
        yield running


@pytest.fixture(scope="module")
def people(house: Venue) -> Callable[[], Person]:
    """Give somebody who is signed in and has confirmed it: what is asked at random may sign them out."""
    known: list[Person] = []

    def somebody() -> Person:
        if not known or known[-1].ask("GET", "/account").status != 200:
            address = f"person{len(known)}@example.com"
            known.append(Person(house.url, house.directory, address).registers().signs_in())
        known[-1].steps_up()
        return known[-1]

    return somebody


@pytest.mark.parametrize("label", OF_PAGE)
def test_nor_does_what_a_person_asks_of_an_account(
    house: Venue, people: Callable[[], Person], counted: Counter[int], label: str
) -> None:
    person = people()
    cookie = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
    headers = {"x-ringfence": "page", "cookie": cookie}
    hold(label, counted, lambda case: case.call(base_url=house.url + API, headers=headers))


def hold(label: str, counted: Counter[int], call: Callable[[Any], Any]) -> None:
    """Ask an operation in many ways; every answer is one that its document knows."""
    operation = OPERATIONS[label]
    good = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    both = good if not operation.query and not operation.body else (
        good | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    )  # fmt: skip

    @hypothesis.seed(_SEED)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=both)
    def ask(case: Any) -> None:
        answer = call(case)
        counted[answer.status_code] += 1
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        assert b"Traceback" not in answer.content
        case.validate_response(answer, checks=_CHECKS)

    ask()
