"""A list of reserves from its rows: totals by class, and the one form of the file."""

from collections import Counter
from collections.abc import Mapping

from ringfence.assurance.proofs.hashes import canonical
from ringfence.assurance.proofs.reserves.model import (
    COUNTED,
    CUSTODIAL,
    FACTORS,
    FORMAT,
    OF_CHAIN,
    Asset,
    Bitcoin,
    Ethereum,
    Reserves,
    Solana,
)

NO_BLOCK = "0" * 64


def reserves_of(
    *, venue: str, snapshot: int, height: int, block_hash: str, bitcoin: Bitcoin | None, ethereum: Ethereum | None,
    solana: Solana | None, fee_money: Mapping[str, int],
) -> bytes:  # fmt: skip
    """Return `reserves.json`.

    fee_money: by asset, in the chain's smallest unit, what of the counted coins is the company's.
    """
    classes: dict[str, Counter[str]] = {}
    apart: dict[str, Counter[str]] = {}
    if bitcoin is not None:
        counted, other = classes.setdefault("XBt", Counter()), apart.setdefault("XBt", Counter())
        for row in bitcoin.scripts:
            (counted if row.kind in COUNTED else other)[row.kind.value] += int(row.balance)
        for custodial in bitcoin.custodial:
            other[CUSTODIAL] += int(custodial.balance)
    if ethereum is not None:
        for currency in ("Gwei", *(one.currency for one in ethereum.contracts)):
            classes.setdefault(currency, Counter())[OF_CHAIN] += 0
        for account in ethereum.accounts:
            classes["Gwei"][OF_CHAIN] += int(account.balance)
            for token in account.tokens:
                classes[token.currency][OF_CHAIN] += int(token.balance)
    if solana is not None:
        held = sum(int(row.balance) for row in solana.accounts)
        classes.setdefault("LAMPORT", Counter())[OF_CHAIN] += held
    assets = {
        currency: _asset(currency, of, apart.get(currency, Counter()), fee_money.get(currency, 0))
        for currency, of in classes.items()
    }
    made = Reserves(
        format=FORMAT, venue=venue, snapshot=snapshot, height=height, block_hash=block_hash, assets=assets,
        bitcoin=bitcoin, ethereum=ethereum, solana=solana,
    )  # fmt: skip
    return canonical(made)


def _asset(currency: str, classes: "Counter[str]", apart: "Counter[str]", fee_money: int) -> Asset:
    whole = sum(classes.values())
    taken = min(max(fee_money, 0), whole)
    return Asset(
        classes={name: str(value) for name, value in classes.items()},
        apart={name: str(value) for name, value in apart.items()},
        fee_money=str(taken), total=str((whole - taken) // FACTORS[currency]),
    )  # fmt: skip
