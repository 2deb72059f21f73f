"""What the console's pages must make of fields, as Python makes it: `web/console/src/sign/vectors.json`.

python tests/unit/console_vectors.py    writes it anew
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from ringfence.assurance.halting import ResumeStatement
from ringfence.console import texts
from ringfence.console.sight import as_text
from ringfence.custody.cosigner.config import approval_digest, veto_digest
from ringfence.custody.demonstration import FIRST_POLICY
from ringfence.custody.intents import Approval, Intent, Kind
from ringfence.custody.quorum.messages import SignedApproval, SignedVeto, statement
from ringfence.custody.quorum.mpc.engine import Scheme
from ringfence.custody.quorum.mpc.keys import Order, What
from ringfence.messages.commands import HaltScope, MissedFunding

PATH = Path(__file__).parents[2] / "web" / "console" / "src" / "sign" / "vectors.json"
HARD = 'Zoë & <b>"\\/\u2028\u007f\t€'
"""Whatever writes JSON differently from another writes this differently."""


def vectors() -> dict[str, Any]:
    return {
        "blake2b": [
            {"size": size, "person": person, "digest": _blake(size, person)}
            for size in (0, 1, 127, 128, 129, 256, 300)
            for person in ("", "ringfence intnt")
        ],
        "intents": [
            {"fields": as_text(msgspec.to_builtins(one)), "digest": one.digest} for one in _intents()
        ],
        "statements": _statements(),
        "policies": [
            {"fields": as_text(msgspec.to_builtins(one)), "digest": one.digest}
            for one in (
                FIRST_POLICY,
                msgspec.structs.replace(
                    FIRST_POLICY, cap=2**63 - 1, housekeeper=7, closed_hours_utc=(1, 2, 23), per_account=()
                ),
            )
        ],
        "order": _order(),
        "texts": _texts(),
    }


def _blake(size: int, person: str) -> str:
    return hashlib.blake2b(
        bytes(n % 251 for n in range(size)), digest_size=32, person=person.encode()
    ).hexdigest()


def _intents() -> list[Intent]:
    first = Intent(
        id="4711", kind=Kind.WITHDRAWAL, chain="regtest", asset="XBt", owner="client", account=2,
        destination="bcrt1qexample", amount=2_000_000_000, fee_max=300_000, requested_ns=1_796_068_506_738_858_553,
        expires_ns=1_796_673_306_738_858_553, requested_by="account-2",
    )  # fmt: skip
    hard = msgspec.structs.replace(
        first, amount=2**63 - 1, account=0, source=HARD, destination=HARD, kind=Kind.SWEEP
    )
    return [first, hard]


def _statements() -> dict[str, Any]:
    digest, at_ns = _intents()[0].digest, 1_796_068_600_000_000_001
    approval = SignedApproval(Approval("custody-anna", "operations", digest, at_ns), "")
    return {
        "digest": digest, "at": str(at_ns), "because": HARD,
        "approval": approval_digest(approval).hex(),
        "veto": veto_digest(SignedVeto("custody-anna", digest, HARD, "")).hex(),
        "thaw": statement(b"thaw", "ops-1", "ab" * 32).hex(),
        "version": statement(b"policy", FIRST_POLICY.digest, at_ns).hex(),
    }  # fmt: skip


def _order() -> dict[str, Any]:
    parties = ("ops-1", "ops-2", "policy-1")
    order = Order(
        What.REFRESH,
        "eip155",
        Scheme("ecdsa-secp256k1"),
        2,
        2,
        parties,
        "",
        "00" * 16,
        1_796_068_600_000_000_001,
    )
    return {"fields": as_text(msgspec.to_builtins(order)), "digest": order.digest.hex()}


def _texts() -> dict[str, Any]:
    key = {
        "venue": "aa" * 32,
        "seat": "custody/custody-anna/operations",
        "credential": "AQID",
        "challenge": "BAUG",
    }
    freeze = {"venue": "aa" * 32, "seat": "halts/Zoë/risk", "because": "a drill: Zoë & <b>"}
    resume = ResumeStatement(
        "aa" * 32,
        HaltScope.WITHDRAWALS,
        2,
        900,
        1_000,
        "bb" * 32,
        MissedFunding.SKIP,
        "a row: edited by hand",
    )
    return {
        "enrolment": {"of": {**key, "key": "cc" * 32}, "text": texts.enrolment(**key, key="cc" * 32).decode()},
        "removal": {"of": key, "text": texts.removal(**key).decode()},
        "freeze": {"of": {**freeze, "at": "17"}, "text": texts.freeze(**freeze, at_ns=17).decode()},
        "resume": resume.text,
    }  # fmt: skip


def encoded() -> str:
    return json.dumps(vectors(), indent=2, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    PATH.write_text(encoded())
