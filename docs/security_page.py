"""Makes docs/internals/security.md: which test holds which control, and how many routes each family of tests covers.

A control is a line of the specification's table of web and API security. A test that is named here has to be there, and
a route that no family covers fails: see tests/tidy/test_security_page.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ringfence.exchange.gateway.rest import ROUTES, Route

PAGE = Path(__file__).with_name("internals") / "security.md"
_SECURITY, _INTEGRATION, _UNIT, _TIDY = "tests/security/", "tests/integration/", "tests/unit/", "tests/tidy/"


class Control(NamedTuple):
    """One line of the specification, how it is met, and where that is tested."""

    name: str
    how: str
    tests: tuple[str, ...]
    """`file::test`, or a file whose every test belongs to it. Empty = no test holds it."""


def _of(file: str, *tests: str) -> tuple[str, ...]:
    return tuple(f"{file}::{test}" for test in tests) or (file,)


_ACCOUNTS = _INTEGRATION + "test_accounts.py"
_USERS = _UNIT + "test_users.py"
_PASSKEYS = ("test_no_changed_answer_of_a_passkey_counts", "test_an_answer_is_for_one_challenge_site_origin_and_key",
             "test_a_count_that_goes_back_shows_a_second_authenticator")  # fmt: skip
CONTROLS = (
    Control("Passwords", "argon2id; common, guessable and own words refused; long sentences welcome",
            _of(_USERS, "test_the_thousand_most_common_passwords_are_refused",
                "test_a_long_sentence_is_a_good_password")
            + _of(_ACCOUNTS, "test_a_password_that_can_be_guessed_opens_nothing")),
    Control("Login throttle", "by account, device, address and in all; a known device has tries of its own",
            _of(_USERS, "test_strangers_never_use_up_the_tries_of_a_known_device",
                "test_all_strangers_together_have_so_many_tries_an_hour")
            + _of(_ACCOUNTS, "test_nobody_can_lock_others_out")),
    Control("One-time codes", "each step counts once, for whoever comes first",
            _of(_USERS, "test_a_code_is_good_for_its_step_and_its_neighbours_once")
            + _of(_ACCOUNTS, "test_a_code_counts_once_however_many_send_it")),
    Control("Passkeys", "challenge, origin, relying party, counter and user verification are checked",
            _of(_USERS, *_PASSKEYS)
            + _of(_ACCOUNTS, "test_a_passkey_that_does_not_verify_its_user_or_is_of_another_page_is_none")),
    Control("Recovery", "a new password passes no second factor and holds withdrawals",
            _of(_ACCOUNTS, "test_a_new_password_signs_out_holds_and_passes_no_second_factor",
                "test_a_recovery_code_counts_once", "test_it_was_not_me_ends_everything")),
    Control("Enumeration", "one answer, one time, whoever has an account",
            _of(_ACCOUNTS, "test_who_has_an_account_is_told_to_nobody",
                "test_guessing_takes_as_long_for_users_that_are_none")),
    Control("Sessions", "new at each step up, over within a second of being ended",
            _of(_ACCOUNTS, "test_stepping_up_gives_a_new_cookie_and_the_old_one_is_nobody",
                "test_a_session_that_is_ended_elsewhere_is_over_within_a_second")),
    Control("Cookies and headers", "`__Host-`, HttpOnly, SameSite=Strict; every answer forbids framing, sniffing and "
            "scripts of others; HSTS where the outside is https",
            _of(_ACCOUNTS, "test_cookies_are_for_this_host_and_no_script") + _of(_SECURITY + "test_headers.py")),
    Control("CSRF", "a header that forms cannot send, Origin and Sec-Fetch-Site; no GET changes anything",
            _of(_ACCOUNTS, "test_a_cookie_alone_is_nobody", "test_another_sites_page_does_nothing_with_a_cookie")
            + _of(_UNIT + "test_origins.py")),
    Control("Scripts in texts", "text is only ever set as text; pages run their own files alone",
            _of(_TIDY + "test_static_rules.py", "test_a_page_makes_no_markup_of_text_and_loads_nothing_from_elsewhere",
                "test_what_makes_markup_of_text_is_found")),
    Control("WebSocket", "Origin at the upgrade; private topics to their own account; frames and arrears are bounded",
            _of(_INTEGRATION + "test_realtime.py", "test_a_foreign_page_opens_no_connection")
            + _of(_SECURITY + "test_authorisation.py", "test_every_private_topic_is_told_to_its_own_account_alone")
            + _of(_SECURITY + "test_hostile_clients.py",
                  "test_a_frame_of_twenty_megabytes_ends_its_own_connection_alone")),
    Control("Signed requests", "verb, address, expiry and body, in constant time; nothing moves between them",
            _of(_SECURITY + "test_mutated_requests.py") + _of(_UNIT + "test_authentication.py")),
    Control("Key permissions", "every route says what it needs; every caller is tried at every route",
            _of(_SECURITY + "test_authorisation.py", "test_what_a_route_declares_is_all_known",
                "test_every_route_lets_in_whom_it_declares_and_nobody_else",
                "test_a_key_that_is_taken_away_is_worth_nothing_within_a_second_or_two")),
    Control("Somebody else's things", "one trader's session and ids with another's key and another's session",
            _of(_SECURITY + "test_authorisation.py", "test_nobody_reads_or_moves_what_is_somebody_elses",
                "test_what_is_everybodys_has_nobodys_number")
            + _of(_ACCOUNTS, "test_one_person_sees_nothing_of_another")),
    Control("Mass assignment", "handlers read parameters by name, one by one, and make commands of them. Unknown ones "
            "are passed over and not refused: clients of BitMEX send some", ()),
    Control("Withdrawals", "a factor, a mail, a hold after what takes a hurdle away; each bound to one request",
            _of(_ACCOUNTS, "test_a_withdrawal_takes_a_factor_and_a_mail",
                "test_a_confirmation_is_of_one_request_and_one_person",
                "test_what_takes_a_hurdle_away_holds_withdrawals_of_pages_and_programs",
                "test_a_session_withdraws_nothing_past_its_confirmation")),
    Control("Several people", "policies and thresholds of custody, lifted halts, approvals at the console",
            _of(_UNIT + "test_policy.py") + _of(_UNIT + "test_console_deeds.py")),
    Control("Business-logic atomicity", "one writer takes commands in order; a refusal leaves nothing behind",
            _of("tests/properties/test_engine_laws.py") + _of(_INTEGRATION + "test_bad_requests.py")),
    Control("Requests to elsewhere", "the gateway opens no connection to any host, whatever is asked",
            _of(_TIDY + "test_security_page.py", "test_the_gateway_speaks_to_nobody_on_the_network")),
    Control("Smuggling", "one parser; what could be read two ways is refused, and the connection ends",
            _of(_SECURITY + "test_smuggling.py")),
    Control("Slow and hostile clients", "what one address takes is bounded, and what nobody fetches ends",
            _of(_SECURITY + "test_hostile_clients.py")),
    Control("Secrets", "in no file, no commit, no log, no argument, no answer; no core file is written",
            _of(_TIDY + "test_secrets.py") + _of(_SECURITY + "test_canaries.py")),
    Control("Fail closed",
            "settings of which one is missing, wrong or not in force start nothing; judges that are silent are red",
            _of(_UNIT + "test_configuration.py") + _of(_INTEGRATION + "test_configuration.py")
            + _of(_INTEGRATION + "test_judges.py")),
    Control("Errors", "a fault of ours is logged and answered without a word about it",
            _of(_SECURITY + "test_headers.py", "test_a_fault_of_ours_is_answered_without_a_word_about_it")
            + _of(_SECURITY + "test_schema.py", "test_no_request_makes_it_fail_and_no_answer_breaks_its_word")),
    Control("Audit log", "hash-chained: what is changed, moved or taken out is found",
            _of(_USERS, "test_a_line_that_is_changed_moved_or_taken_out_is_found",
                "test_what_is_private_cannot_be_read_or_moved")
            + _of(_ACCOUNTS, "test_what_was_done_is_shown_with_its_place_in_the_chain")),
    Control("Crypto inventory", "protocols that have lost coins elsewhere are in no lock file; there is no list of all "
            "algorithms in use that a test holds", _of(_TIDY + "test_dependencies.py")),
    Control("Dependencies", "pinned by hash, written down, asked about: [supply chain](../operating/supply-chain.md)",
            _of(_TIDY + "test_supply_chain.py")),
    Control("Static", "ruff's S rules, and rules of our own for what it does not know",
            _of(_TIDY + "test_static_rules.py")),
    Control("Dynamic", "requests made from the API's own document, good ones and bad ones",
            _of(_SECURITY + "test_schema.py")),
    Control("Supply and build", "nothing is attested and no build is compared with another: not here yet", ()),
    Control("Disclosure", "security.txt, sealed reports, deadlines",
            _of(_INTEGRATION + "test_security_desk.py") + _of(_UNIT + "test_disclosure.py")),
    Control("Mail", "one line, one recipient; it waits until a server takes it",
            _of(_USERS, "test_what_is_taken_for_an_address_has_one_line_and_one_recipient",
                "test_a_mail_waits_until_a_server_takes_it")),
)  # fmt: skip


class Family(NamedTuple):
    """Generated tests against one of OWASP's ten risks of APIs, and the routes that they are made of."""

    id: str
    risk: str
    covers: Callable[[Route], bool]
    tests: tuple[str, ...]


def _every(route: Route) -> bool:
    return True


def _private(route: Route) -> bool:
    return route.needs_key or route.for_page


_MATRIX = _SECURITY + "test_authorisation.py::test_every_route_lets_in_whom_it_declares_and_nobody_else"
_SCHEMA = _SECURITY + "test_schema.py::test_no_request_makes_it_fail_and_no_answer_breaks_its_word"
FAMILIES = (
    Family("API1", "Broken object level authorisation", lambda route: route.needs_key and not route.for_page,
           (_SECURITY + "test_authorisation.py::test_nobody_reads_or_moves_what_is_somebody_elses",)),
    Family("API2", "Broken authentication", lambda route: route.needs_key and not route.for_page,
           (_SECURITY + "test_mutated_requests.py::test_no_request_that_was_changed_by_a_hair_is_accepted",)),
    Family("API3", "Broken object property level authorisation", lambda route: not _private(route),
           (_SECURITY + "test_authorisation.py::test_what_is_everybodys_has_nobodys_number",)),
    Family("API4", "Unrestricted resource consumption", _every,
           (_SCHEMA, _SECURITY + "test_hostile_clients.py")),
    Family("API5", "Broken function level authorisation", _every, (_MATRIX,)),
    Family("API6", "Unrestricted access to sensitive business flows", lambda route: route.for_page,
           (_ACCOUNTS + "::test_every_route_of_the_page_says_who_may",)),
    Family("API7", "Server-side request forgery", _every,
           (_TIDY + "test_security_page.py::test_the_gateway_speaks_to_nobody_on_the_network",)),
    Family("API8", "Security misconfiguration", _every,
           (_SECURITY + "test_headers.py::test_every_answer_carries_what_a_browser_has_to_see",)),
    Family("API9", "Improper inventory management", _every,
           (_SECURITY + "test_schema.py::test_every_route_is_in_the_document",)),
    Family("API10", "Unsafe consumption of APIs", lambda route: False,
           (_UNIT + "test_index_sources.py", "tests/simulation/test_hostile_feeds.py")),
)  # fmt: skip


def security_page() -> str:
    """Return the page."""
    routes = list(ROUTES.values())
    lines = [
        "# Who holds which control",
        "",
        "Made by `docs/generate.py` from `docs/security_page.py`; every test that is named here is there. A control",
        "without a test is held by nothing but what is said of it.",
        "",
        "| control | how it is met | held by |",
        "|---------|---------------|---------|",
    ]
    lines += [f"| {one.name} | {one.how} | {_listed(one.tests)} |" for one in CONTROLS]
    lines += [
        "",
        "## The ten risks of APIs",
        "",
        f"OWASP's list of 2023, and how many of the {len(routes)} routes each family of generated tests is made of. A",
        "new route is in them by being declared. What prices are made of comes from outside, not by a route (API10).",
        "",
        "| | risk | routes | tests |",
        "|-|------|-------:|-------|",
    ]
    for family in FAMILIES:
        count = sum(family.covers(route) for route in routes)
        lines.append(f"| {family.id} | {family.risk} | {count or '–'} | {_listed(family.tests)} |")
    lines += [
        "",
        "Longer runs: `nox -s schema` sends 1,000 requests to every operation and a million changed ones. What needs",
        "the network: [supply chain](../operating/supply-chain.md).",
    ]
    return "\n".join(lines) + "\n"


def _listed(tests: tuple[str, ...]) -> str:
    return "<br>".join(f"`{test}`" for test in tests) or "–"
