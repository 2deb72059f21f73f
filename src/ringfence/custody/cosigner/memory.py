"""What a co-signer remembers of its own log: whom it is committed to, what it has seen sealed, what it has signed."""

from typing import Any

import msgspec

from ringfence.chained_log import Entry
from ringfence.custody.annex import Annex
from ringfence.custody.cosigner.policies import Announced, read_announced
from ringfence.custody.intents import Intent
from ringfence.custody.policy import Signed


class Consent(msgspec.Struct, frozen=True):
    """A transaction that a co-signer signs together with others, if all of them say yes."""

    at_ns: int
    intents: tuple[Intent, ...]
    path: str
    """Which key below the shared one."""
    messages: tuple[str, ...]
    """What is signed, hexadecimal; one for each signature."""
    parties: tuple[str, ...]
    key: str = ""
    """Name of the shared key."""
    chain: str = ""
    """Of an attestation, which has no intents; else it is theirs."""

    @property
    def of_chain(self) -> str:
        return self.chain or self.intents[0].chain


class Memory:
    """A fold over the log."""

    def __init__(self) -> None:
        self.contributions: dict[str, bytes] = {}
        """By batch digest, hexadecimal: what this co-signer gives to the nomination."""
        self.sealed: dict[str, str] = {}
        """By batch id: digest of the one sealed record that there will ever be."""
        self.batch_of: dict[str, str] = {}
        """By intent id: the one batch that it will ever be in."""
        self.blocks: dict[str, str] = {}
        """By sealed digest: the block that decided, once this co-signer has acted on it."""
        self.counters: dict[str, int] = {}
        """The highest counter that was seen of each other co-signer's HSM."""
        self.signed: dict[str, list[Signed]] = {}
        """By asset."""
        self.consents: dict[str, Consent] = {}
        """By subject: what it has said yes to, and signs if all have."""
        self.annexes: dict[str, Annex] = {}
        """By chain."""
        self.announced: list[Announced] = []
        """Versions of the policy, as they were heard of."""
        self.attested_ns: list[int] = []
        """When it has shown control of coins."""
        self.frozen = ""
        """Digest of the line by which it froze; empty if it has not, or went on since."""
        self.frozen_because = ""

    def take(self, entry: Entry) -> None:
        body: dict[str, Any] = entry.body
        if entry.kind == "committed":
            self.contributions[body["batch"]] = bytes.fromhex(body["contribution"])
        elif entry.kind == "witnessed":
            self.sealed[body["id"]] = body["sealed"]
            self.batch_of |= dict.fromkeys(body["intents"], body["id"])
        elif entry.kind == "revealed":
            self.blocks[body["sealed"]] = body["block"]
        elif entry.kind == "seen":
            self.counters |= body["counters"]
        elif entry.kind == "signed":
            self.sealed[body["batch"]] = body["sealed"]
            self.batch_of |= {one["id"]: body["batch"] for one in body["intents"]}
            for one in body["intents"]:
                signed = Signed(
                    entry.at_ns, one["digest"], one["id"], one["account"], one["destination"], one["amount"],
                    tuple(body["inputs"]),
                )  # fmt: skip
                self.signed.setdefault(one["asset"], []).append(signed)
            if "consent" in body:
                self.consents[body["subject"]] = msgspec.convert(body["consent"], Consent)
        elif entry.kind == "attested":
            self.attested_ns.append(entry.at_ns)
            if "consent" in body:
                self.consents[body["subject"]] = msgspec.convert(body["consent"], Consent)
        elif entry.kind == "attached":
            annex = msgspec.convert(body["annex"], Annex)
            self.annexes[annex.chain] = annex
        elif entry.kind == "announced":
            self.announced.append(read_announced(entry))
        elif entry.kind == "frozen":
            self.frozen, self.frozen_because = entry.digest.hex(), body["because"]
        elif entry.kind == "thawed":
            self.frozen = self.frozen_because = ""
