"""The coordinator dies at every kind of line that it writes, and around everything that leaves it: one payment each.

A sample by default; RINGFENCE_CRASHES=all dies at every kind of step on both chains (`nox -s thefts`).
"""

import os

import pytest

from ringfence.custody.chains.ethereum.addresses import spelt as ethereum_address
from ringfence.custody.chains.solana.addresses import is_on_curve
from ringfence.custody.chains.solana.addresses import spelt as solana_address
from ringfence.testing.account_custody import ETHEREUM, SOLANA, AccountCustody
from ringfence.testing.custody import Stopped
from ringfence.units.assets import ETH, SOL, Asset
from tests.custody_accounts.conftest import Found
from tests.custody_accounts.test_stories import swept

ALL = os.environ.get("RINGFENCE_CRASHES") == "all"
AMOUNT = 10**7
LINES = ("gathered", "sealed", "drawn", "built", "joining", "signed")
SAMPLE = {
    ETHEREUM: [
        (*(f"write {kind}" for kind in LINES), "send", "instruct left", "instruct returned"),
        ("wrote gathered", "wrote sealed", "wrote built", "heard Join", "wrote signed", "sent", "instructed left"),
        ("wrote joining",),
    ],
    SOLANA: [("wrote joining", "send", "instructed left"), ("write signed", "sent")],
}  # fmt: skip
"""In each withdrawal the coordinator dies at these, one after the other."""
EVERY = [
    *(f"{when} {kind}" for when in ("write", "wrote") for kind in LINES),
    *(
        f"{when} {kind}"
        for when in ("ask", "heard")
        for kind in ("Commit", "Countersign", "Reveal", "Challenge", "Show", "Consider", "Join")
    ),
    "send", "sent", "instruct left", "instructed left", "instruct returned", "instructed returned",
]  # fmt: skip


def stranger(chain: str, number: int) -> str:
    if chain == ETHEREUM:
        return ethereum_address(bytes([0x77, number]) + bytes(18))
    return next(
        solana_address(raw) for last in range(256) if is_on_curve(raw := bytes([7, number, last]) + bytes(29))
    )


def balance(custody: AccountCustody, chain: str, address: str) -> int:
    if chain == ETHEREUM:
        return custody.ethereum.balance_wei(address, "latest") // 10**9
    return custody.solana.balance_lamports(address)


@pytest.mark.parametrize(
    ("chain", "asset", "raw", "fee_max"), [(ETHEREUM, ETH, 10**19, 200_000), (SOLANA, SOL, 10**10, 10_000)]
)
def test_a_death_at_any_step_pays_once(
    found: Found, chain: str, asset: Asset, raw: int, fee_max: int
) -> None:
    custody = found(chain)
    custody.deposit(1, asset, raw)
    swept(custody, asset, 1)
    stories = [(step,) for step in EVERY] if ALL else SAMPLE[chain]
    for number, steps in enumerate(stories):
        to = stranger(chain, number)
        withdrawal = custody.ask_for(1, asset, AMOUNT, to, fee_max=fee_max)
        deaths: list[str] = []

        def die(what: str, steps: tuple[str, ...] = steps, deaths: list[str] = deaths) -> None:
            if what in steps and what not in deaths:
                deaths.append(what)
                raise Stopped

        custody.before_effect = die
        while custody.exchange.locked[withdrawal]:
            try:
                custody.finish(withdrawal)
            except Stopped:
                custody.start_coordinator()
                if len(deaths) % 3 == 1:
                    for one in custody.cosigners.values():
                        one.restart()
        assert set(deaths) == set(steps)
        done = custody.withdrawal(withdrawal)
        assert AMOUNT < done.left <= AMOUNT + fee_max
        assert done.left + done.returned == AMOUNT + fee_max
    custody.before_effect = lambda what: None
    custody.mine(3)
    custody.turn()
    custody.check()
    there = [balance(custody, chain, stranger(chain, number)) for number in range(len(stories))]
    assert there == [AMOUNT] * len(stories)
