"""BitMEX's rules for a file of reserves, from the specification (docs of 2026-04): the oracle for `reserves.yaml`.

Not its code: what its validator asks of a file before and after it scans a node.
"""

from collections.abc import Callable
from typing import Any

import yaml


class RefusedError(Exception):
    """BitMEX's validator would stop here."""


def validate(raw: bytes, *, chain: str, scan: Callable[[list[str]], int], chunk: int = 10_000) -> int:
    """Return what is proven, in satoshis. Raises RefusedError."""
    data: dict[str, Any] = yaml.safe_load(raw)
    if data["chain"] != chain:
        raise RefusedError("network mismatch")
    assert isinstance(data["height"], int)
    m, n = data["claim"]["m"], data["claim"]["n"]
    assert 0 < m <= n
    xpubs, descriptors, claimed = data.get("xpub", []), [], 0
    for row in data["address"]:
        kind = row["addr_type"]
        if kind == "unspendable":
            continue
        if kind == "wpkh" or kind.startswith("multisig_"):
            if not any(xpub in row["script"] for xpub in xpubs):
                raise RefusedError(f"{row['addr']}: no xpub in the script")
            descriptors.append(row["script"])
        elif kind in ("sh", "sh_wsh", "wsh"):
            raise RefusedError("not used here: bare multisig of founder keys")
        else:
            raise RefusedError(f"unknown address type {kind}")
        claimed += row["balance"]
    for row in data.get("custodial", []):
        descriptors.append(f"addr({row['addr']})")
        claimed += row["balance"]
    if claimed != data["total"]:
        raise RefusedError(f"the balances come to {claimed}, the total is {data['total']}")
    proven = sum(scan(descriptors[at : at + chunk]) for at in range(0, len(descriptors), chunk))
    if proven < claimed:
        raise RefusedError(f"{proven} proven, {claimed} claimed")
    return proven
