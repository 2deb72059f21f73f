"""BitMEX's format both ways, with both kinds of nonce, over random books: a sceptic need not run our code at all."""

import hashlib
import random

import pytest

from ringfence.assurance.proofs.errors import DifferentError
from ringfence.assurance.proofs.verify import Claimant, verify_bitmex
from tests.proofs import bitmex_tool
from tests.proofs.books import HEIGHT, book

OURS_TO_THEIRS, THEIRS_TO_OURS = 300, 330


@pytest.mark.parametrize("block", range(6))
def test_their_validator_finds_every_client_in_our_files(block: int) -> None:
    """50 books each: with the account's nonce and with the snapshot's, the same sum, and nobody for a wrong one."""
    for seed in range(block * OURS_TO_THEIRS // 6, (block + 1) * OURS_TO_THEIRS // 6):
        dice = random.Random(seed)
        made = book(seed, accounts=dice.randrange(2, 40))
        text = made.filed.csv.decode()
        account = dice.choice(list(made.balances))
        wanted = made.balances[account]
        assert bitmex_tool.validate(text, account=account, account_nonce=made.nonce(account)) == wanted
        assert bitmex_tool.validate(text, nonce=made.sub_nonce(account)) == wanted
        assert bitmex_tool.validate(text, nonce=made.sub_nonce(account + 1_000)) == 0


@pytest.mark.parametrize("block", range(6))
def test_our_verifier_reads_their_files(block: int) -> None:
    """55 books each: every client of each, with both kinds of nonce; a wrong one finds nothing and is no success."""
    for seed in range(block * THEIRS_TO_OURS // 6, (block + 1) * THEIRS_TO_OURS // 6):
        dice = random.Random(10_000 + seed)
        balances = {
            dice.randrange(1, 2**53): dice.randrange(100, 2**40) for _ in range(dice.randrange(1, 20))
        }
        balances[2**63 + seed] = 0
        nonces = {account: hashlib.sha256(f"{seed} {account}".encode()).digest() for account in balances}
        raw = bitmex_tool.generate(balances, nonces, height=HEIGHT, dice=dice).encode()
        for account, balance in balances.items():
            short = bitmex_tool.sub_nonce(nonces[account], HEIGHT, account)
            by_long = Claimant(account, "", account_nonce=nonces[account], expected=balance)
            by_short = Claimant(account, "", sub_nonce=short, expected=balance)
            long, of_short = (
                verify_bitmex(raw, one, header=None, sidecar=None) for one in (by_long, by_short)
            )
            assert long.mine == of_short.mine == balance
            assert long.total == sum(balances.values())
            assert long.is_bound
            assert not of_short.is_bound, "the same leaves may be shown to somebody else"
        with pytest.raises(DifferentError):
            verify_bitmex(raw, Claimant(5, "", sub_nonce=bytes(32)), header=None, sidecar=None)
