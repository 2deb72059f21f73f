"""Reserves: what lies on the chains, and fresh proof that its keys are there.

`model` is the list, `making` writes it, `bitmex` in BitMEX's form; `listing` checks that it is one, `chain` that the
chains have it, `control` that the keys were there after a block that nobody had known; `verdict` says all of it.
"""

from ringfence.assurance.proofs.reserves.bitmex import yaml_of
from ringfence.assurance.proofs.reserves.chain import (
    EthereumNode,
    Found,
    SolanaNode,
    check_coins,
    check_dump,
    check_ethereum,
    check_solana,
)
from ringfence.assurance.proofs.reserves.control import Controlled, check_control, coins_of, sample, wanted
from ringfence.assurance.proofs.reserves.listing import Checked, check_listing
from ringfence.assurance.proofs.reserves.making import reserves_of
from ringfence.assurance.proofs.reserves.model import Reserves, read_reserves
from ringfence.assurance.proofs.reserves.verdict import Sources, Verdict, verify_folder

__all__ = [
    "Checked", "Controlled", "EthereumNode", "Found", "Reserves", "SolanaNode", "Sources", "Verdict", "check_coins",
    "check_control", "check_dump", "check_ethereum", "check_listing", "check_solana", "coins_of", "read_reserves",
    "reserves_of", "sample", "verify_folder", "wanted", "yaml_of",
]  # fmt: skip
