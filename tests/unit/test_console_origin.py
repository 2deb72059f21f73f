"""The console's door: one host, one origin, its own header; nothing is changed by GET, nothing is open to strangers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringfence.console import origin, sessions
from tests.unit.console_house import House

SENT_ALWAYS = (
    "content-security-policy", "x-content-type-options", "referrer-policy", "cross-origin-opener-policy",
    "permissions-policy", "x-frame-options",
)  # fmt: skip


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    found = await House(tmp_path).begin()
    yield found
    await found.end()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:{port}", "localhost:{port}", "custody.localhost", "custody.localhost:1", "evil.test", ""],
)
async def test_another_host_is_answered_by_nothing(house: House, host: str) -> None:
    for path in ("/", "/api/session"):
        reply = await house.ask("GET", path, host=host.format(port=house.port))
        assert (reply.status, b"title" in reply.raw) == (403, False)


async def test_every_answer_carries_the_policies_refusals_too(house: House) -> None:
    replies = [
        await house.ask("GET", "/"), await house.ask("GET", "/nothing"), await house.ask("GET", "/api/session"),
        await house.ask("GET", "/api/nothing"), await house.ask("GET", "/", host="evil.test"),
        await house.post("login"), await house.ask("PUT", "/"), await house.ask("GET", "/api/requests"),
    ]  # fmt: skip
    assert [one.status for one in replies] == [200, 404, 200, 404, 403, 400, 405, 401]
    for one in replies:
        assert [name for name in SENT_ALWAYS if name not in one.headers] == []
        assert one.headers["cache-control"] == "no-store"
        policy = one.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "access-control-allow-origin" not in one.headers


async def test_what_changes_something_comes_from_the_page_alone(house: House) -> None:
    """Every route that changes something, without each of what a foreign page cannot send."""
    cookie = await house.signed_in("anna")
    changing = [name for method, name in house.server.routes if method == "POST"]
    assert len(changing) > 20
    lines = house.record.count
    for name in changing:
        for changed in (
            {"origin": "http://evil.test"}, {"origin": None}, {"origin": "null"}, {"x_ringfence_console": None},
            {"x_ringfence_console": "yes"}, {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"},
            {"origin": house.origin.replace("custody.", "")},
        ):  # fmt: skip
            reply = await house.ask("POST", f"/api/{name}", cookie=cookie, **changed)
            assert reply.status == 403, (name, changed)
        assert (await house.ask("GET", f"/api/{name}", cookie=cookie)).status == 404, name
    assert house.record.count == lines
    assert (await house.get("session", cookie)).row["who"]["name"] == "anna"


async def test_what_is_read_is_read_by_the_page_alone(house: House) -> None:
    """An image or a script of another page sends no header of ours, and no frame shows it."""
    cookie = await house.signed_in("anna")
    for changed in (
        {"x_ringfence_console": None},
        {"sec_fetch_site": "cross-site"},
        {"origin": "http://evil.test"},
    ):
        assert (await house.ask("GET", "/api/requests", cookie=cookie, **changed)).status == 403
    assert (await house.ask("GET", "/api/requests", cookie=cookie)).status == 200
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "x_ringfence_console": None}
    assert (
        await house.ask("GET", "/", **link)
    ).status == 200  # a link leads to the page, which has nothing yet


async def test_without_a_session_there_is_nothing_but_the_way_in(house: House) -> None:
    is_open = {name for name, open_ in house.server.routes.items() if open_}
    assert {name for _, name in is_open} == {
        "session", "login/begin", "login", "key/begin", "key", "key/remove/begin", "key/remove",
    }  # fmt: skip
    for method, name in set(house.server.routes) - is_open:
        for cookie in ("", f"{origin.COOKIE}=", f"{origin.COOKIE}={'A' * 43}", "__Host-ringfence=x"):
            assert (await house.ask(method, f"/api/{name}", cookie=cookie)).status == 401, name


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.html",
        "/assets/../../secret.html",
        "/%2e%2e/secret.html",
        "/assets",
        "/assets/",
        "//",
        "/log.jsonl",
    ],
)
async def test_pages_are_what_was_built_and_nothing_else(house: House, path: str) -> None:
    assert (await house.ask("GET", path)).status == 404
    assert (await house.ask("GET", "/assets/index-1.js")).raw == b"1;"


# ---- sessions


async def test_the_cookie_is_the_browsers_alone(house: House) -> None:
    cookie = await house.signed_in("anna")
    name, _, token = cookie.partition("=")
    assert (name, len(token)) == ("__Host-ringfence-console", 43)
    line = origin.set_cookie("x").decode()
    assert line == "set-cookie: __Host-ringfence-console=x; Path=/; Secure; HttpOnly; SameSite=Strict\r\n"
    assert token not in house.path.read_text()


async def test_two_cookies_of_one_name_open_nothing(house: House) -> None:
    cookie = await house.signed_in("anna")
    assert (await house.get("requests", f"{cookie}; {origin.COOKIE}=planted")).status == 401
    assert (await house.get("requests", f"theme=dark; {cookie}")).status == 200


async def test_a_session_ends_when_nobody_is_there_though_the_page_asks_on(house: House) -> None:
    cookie = await house.signed_in("anna")
    for _ in range(14):
        house.clock += 60
        assert (
            await house.ask("GET", "/api/requests", cookie=cookie, x_ringfence_console="poll")
        ).status == 200
    house.clock += 61
    assert (await house.ask("GET", "/api/requests", cookie=cookie, x_ringfence_console="poll")).status == 401


async def test_a_session_ends_after_eight_hours_whatever_is_done(house: House) -> None:
    cookie = await house.signed_in("anna")
    for _ in range(int(sessions.ABSOLUTE_SECONDS // 600)):
        house.clock += 600
        assert (await house.post("still-here", cookie=cookie)).status == 200
    house.clock += 1
    assert (await house.post("still-here", cookie=cookie)).status == 401


async def test_who_signs_out_or_in_again_leaves_nothing_open(house: House) -> None:
    first = await house.signed_in("anna")
    assert (await house.post("logout", cookie=first)).headers["set-cookie"].endswith("Max-Age=0")
    assert (await house.get("requests", first)).status == 401


async def test_too_many_tries_are_not_looked_at(house: House) -> None:
    for _ in range(sessions.TRIES_PER_MINUTE):
        assert (await house.post("login/begin")).status == 200
    assert (await house.post("login/begin")).status == 429
    lines = house.record.count
    assert (await house.post("login", {"ticket": "x", "answer": {}})).status == 429
    assert house.record.count == lines
    house.clock += 61
    assert (await house.post("login/begin")).status == 200


# ---- what is missing


async def test_pages_that_were_not_built_are_said_to_be_missing(house: House) -> None:
    house.server._pages.clear()
    reply = await house.ask("GET", "/")
    assert (reply.status, "make web" in reply.row["error"]["message"]) == (404, True)
