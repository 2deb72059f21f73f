"""No secret is in any file or in any commit; and one that was put there would be found."""

import base64
import hashlib
import subprocess
from collections.abc import Iterable

import pytest

from tests.tidy.secrets_in_text import ROOT, find, history, is_random, known, tracked, unknown

_MADE = base64.b64encode(hashlib.sha256(b"planted").digest()).decode()
# Made of pieces, so that this file holds none of them.
PLANTED = {
    "a private key": "-----BEGIN " + "PRIVATE KEY-----",
    "an age key": "AGE-SECRET-" + "KEY-1" + "QQPZRY9X8G" * 6,
    "an extended private key": "x" + "prv" + "9s21ZrQH143K" * 9,
    "a key in Bitcoin's import format": "L1aW4aubDFB7y" * 4,
    "a token of a code host": "gh" + "p_" + "16C7e42F" * 5,
    "a token of a package registry": "npm" + "_" + "aBcDeFgHi" * 4,
    "random": f'secret = "{_MADE}"',
    "AWS Access Key": "AKIA" + "QYLPMN5HHHFPZAM2",
    "Secret Keyword": "pass" + "word = 'correct horse battery'",
    "JSON Web Token": ".".join(base64.b64encode(one).decode() for one in (b'{"alg":"HS256"}', b'{"sub":1}', b"1" * 32)),
}  # fmt: skip


@pytest.mark.parametrize("rule", PLANTED)
def test_a_planted_secret_is_found(rule: str) -> None:
    assert rule in {found.rule for found in find([("planted.py", f"    {PLANTED[rule]}\n")])}


@pytest.mark.parametrize(
    "line",
    ["def test_a_request_that_never_ends_is_cut_off_however_busily_it_comes(quick: None) -> None:",
     "https://example.org/a/long/path/that/leads/somewhere/in/the/documentation.html",
     "00000000-0000-4000-8000-000000000001", "password: str",
     "token = next(self._tokens)", 'secret=f"secret-{account}"'],
)  # fmt: skip
def test_ordinary_lines_are_none(line: str) -> None:
    assert list(find([("ordinary.py", line)])) == []


def test_a_headline_that_is_known_in_one_file_is_not_known_in_another() -> None:
    (here,) = {
        one.fingerprint for one in find([("here", PLANTED["a private key"])]) if one.rule == "a private key"
    }
    (there,) = {
        one.fingerprint for one in find([("there", PLANTED["a private key"])]) if one.rule == "a private key"
    }
    assert here != there


def test_a_run_of_one_character_is_not_random() -> None:
    assert not is_random("ab" * 32)
    assert not is_random("0" * 64)


def told(lines: Iterable[tuple[str, str]]) -> list[tuple[str, str, str]]:
    return [(one.where, one.rule, one.fingerprint) for one in unknown(lines)]


def test_no_file_holds_a_secret() -> None:
    """If this fails: see known_secrets.toml, and never put a real one there."""
    _needs_git()
    assert told(tracked()) == []


def test_no_commit_has_ever_held_one() -> None:
    _needs_git()
    assert told(history()) == []


def test_the_list_of_known_ones_has_reasons() -> None:
    assert all(len(reason.split()) >= 5 for reason in known().values())


def _needs_git() -> None:
    done = subprocess.run(["git", "rev-parse", "--git-dir"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this is no clone: a release that was unpacked has no history")
