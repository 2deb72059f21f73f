"""Finds what looks like a secret in lines of text: detect-secrets, and rules of our own for what it does not know.

    python -m tests.tidy.secrets_in_text       prints what is in no line of known_secrets.toml

Lines that can hold none are passed over first, so that a whole history takes seconds.
"""

import hashlib
import math
import re
import subprocess
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from detect_secrets.core.scan import scan_line
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).parents[2]
KNOWN = Path(__file__).with_name("known_secrets.toml")
_LOCKS = ("uv.lock", "Cargo.lock", "package-lock.json")
"""Nothing but names and hashes of published files; what is in them is checked in test_supply_chain.py."""
_LINE_CHARACTERS_MAX = 4_000
_PLUGINS = (
    "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "DiscordBotTokenDetector",
    "GitHubTokenDetector", "GitLabTokenDetector", "IbmCloudIamDetector", "JwtTokenDetector", "KeywordDetector",
    "MailchimpDetector", "NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector",
    "SlackDetector", "StripeDetector", "TelegramBotTokenDetector", "TwilioKeyDetector",
)  # fmt: skip
_SETTINGS = {"plugins_used": [{"name": name} for name in _PLUGINS]}
_MAY_HOLD = re.compile(
    r"[A-Za-z0-9+/_=.-]{20,}|://[^/\s]+:|(?i:secret|passw|pwd|token|api.?key|private.?key|credential)"
)
"""What every rule below needs of a line, and every plugin above."""
_OWN = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----"),
    "an age key": re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    "an extended private key": re.compile(r"\b[xtyzuv]prv[1-9A-HJ-NP-Za-km-z]{100,}"),
    "a key in Bitcoin's import format": re.compile(r"\b[5KL][1-9A-HJ-NP-Za-km-z]{50,51}\b"),
    "a token of a code host": re.compile(
        r"\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,}|glpat-[\w-]{20,})"
    ),
    "a token of a package registry": re.compile(
        r"\b(npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{50,}|cio[A-Za-z0-9]{32})\b"
    ),
}
_RANDOM = re.compile(r"(?<![\w+/=.-])[A-Za-z0-9+/_-]{32,}={0,2}(?![\w+/=-])")
_RANDOM_BITS = {"hex": 3.3, "base64": 4.5}
"""Shannon entropy of a character from which a run of 32 and more counts as random: of 4 and of 6 bits at most."""


class Found(NamedTuple):
    where: str
    """A path, in history the path that it had then."""
    rule: str
    secret: str

    @property
    def fingerprint(self) -> str:
        """What the list of known ones holds instead of the secret itself.

        Where a headline was found and not the key below it, it is known in one file alone: all keys share it.
        """
        text = f"{self.where}: {self.secret}" if "PRIVATE KEY" in self.secret else self.secret
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def find(lines: Iterable[tuple[str, str]]) -> Iterator[Found]:
    """Yield what looks like a secret in (path, line) pairs, each line once."""
    seen: set[str] = set()
    with transient_settings(_SETTINGS):
        for where, line in lines:
            if line in seen or len(line) > _LINE_CHARACTERS_MAX or not _MAY_HOLD.search(line):
                continue
            seen.add(line)
            for rule, pattern in _OWN.items():
                yield from (Found(where, rule, match[0]) for match in pattern.finditer(line))
            yield from (Found(where, "random", one) for one in _RANDOM.findall(line) if is_random(one))
            for secret in scan_line(line):
                if secret.secret_value:
                    yield Found(where, secret.type, secret.secret_value)


def is_random(text: str) -> bool:
    """Return whether a run of characters has the entropy of a key. Names and words of code have less."""
    bare = text.rstrip("=")
    kind = "hex" if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", bare) else "base64"
    if kind == "base64" and not (
        re.search("[0-9]", bare) and re.search("[A-Z]", bare) and re.search("[a-z]", bare)
    ):
        return False
    counted = Counter(bare)
    bits = -sum(n / len(bare) * math.log2(n / len(bare)) for n in counted.values())
    return bits >= _RANDOM_BITS[kind]


def is_scanned(path: str) -> bool:
    return not path.endswith((*_LOCKS, KNOWN.name, ".png", ".svg"))


# ---- where to look


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, errors="replace", check=True
    ).stdout  # fmt: skip


def tracked() -> Iterator[tuple[str, str]]:
    """Yield the lines of every file that is tracked. Raises CalledProcessError if there is no git here."""
    for path in _git("ls-files", "-z").split("\0"):
        if path and is_scanned(path) and (ROOT / path).is_file():
            for line in (ROOT / path).read_text(errors="replace").splitlines():
                yield path, line


def history() -> Iterator[tuple[str, str]]:
    """Yield every line that any commit has added."""
    path = ""
    for line in _git(
        "log", "-p", "--all", "--no-color", "--no-renames", "--unified=0", "--format="
    ).splitlines():
        if line.startswith("+++ "):
            path = line.removeprefix("+++ ").removeprefix("b/")
        elif line.startswith("+") and is_scanned(path):
            yield path, line[1:]


def known() -> dict[str, str]:
    """Return the reasons of what is known to be none of ours, by fingerprint or by path."""
    return {
        name: entry["reason"]
        for entry in tomllib.loads(KNOWN.read_text())["known"]
        for name in (*entry.get("fingerprints", ()), *entry.get("files", ()))
    }


def unknown(lines: Iterable[tuple[str, str]]) -> list[Found]:
    """Return what looks like a secret and is in no line of the list."""
    excused = known()
    return [one for one in find(lines) if one.fingerprint not in excused and one.where not in excused]


def main() -> None:
    told: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for lines in (tracked(), history()):
        for found in unknown(lines):
            told[found.where].add((found.fingerprint, found.rule, found.secret[:60]))
    for where, rows in sorted(told.items()):
        print(where)
        for row in sorted(rows):
            print("   ", *row)


if __name__ == "__main__":
    main()
