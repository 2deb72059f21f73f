"""`reserves.yaml`: the counted coins of Bitcoin as BitMEX's validator reads them.

It wants, of each address, a descriptor in which one of the listed extended public keys is written, and that all
balances come to the total. A vault's descriptor has five of them, the hot wallet's one. What somebody else keeps for
the exchange would be added to the total there, so it is not in this file; the fee money of the company is, because it
lies among the coins.
"""

from ringfence.assurance.proofs.reserves.bitcoin import OPERATIONS_NEEDED
from ringfence.assurance.proofs.reserves.model import COUNTED, Kind, Reserves

_CHAINS = {"main": "main", "testnet": "test", "signet": "signet", "regtest": "regtest"}
"""Networks as bitcoind calls them."""
_TYPES = {Kind.MULTISIG: "multisig_wsh", Kind.THRESHOLD: "wpkh"}
_OPERATIONS = 3


def yaml_of(reserves: Reserves) -> bytes:
    """Return the file; one without an address if there is no Bitcoin."""
    listed = reserves.bitcoin
    rows = [row for row in listed.scripts if row.kind in COUNTED] if listed is not None else []
    # Older versions of the validator look for the first key alone, and only where the type is wpkh.
    xpubs = [listed.hot] if listed is not None and listed.hot else []
    for vault in listed.vaults if listed is not None else ():
        if vault.kind in COUNTED:
            xpubs += vault.recovery
    lines = [
        f"height: {reserves.height}", f"blockhash: '{reserves.block_hash}'",
        f"chain: {_CHAINS[listed.network] if listed is not None else 'main'}",
        f"claim: {{m: {OPERATIONS_NEEDED}, n: {_OPERATIONS}}}",
        f"total: {sum(int(row.balance) for row in rows)}", "keys: []",
    ]  # fmt: skip
    lines += ["xpub:", *(f"- {key}" for key in xpubs)] if xpubs else ["xpub: []"]
    lines += ["address:"] if rows else ["address: []"]
    for row in rows:
        lines += [
            f"- addr_type: {_TYPES[row.kind]}", f"  addr: {row.address}", f"  script: {row.descriptor}",
            f"  balance: {row.balance}",
        ]  # fmt: skip
    return "\n".join([*lines, "custodial: []", ""]).encode()
