"""Coins that leave by a key that somebody has, and fees that nobody has paid in for: the next look shows both."""

import hashlib
import hmac

import pytest
from coincurve import PrivateKey

from ringfence.custody.chains.ethereum import transactions as ethereum
from ringfence.custody.chains.ethereum.addresses import address_of, read_address, spelt
from ringfence.custody.chains.ethereum.devnet import CHAIN_ID
from ringfence.custody.chains.ethereum.faucet import signed
from ringfence.custody.wallets.derivation import child_of
from ringfence.testing.account_custody import ETHEREUM, AccountCustody, Proposal
from ringfence.testing.shamir import ORDER, interpolated, public_key_of, secret_of
from ringfence.units.assets import ETH, USDT
from tests.custody_accounts.conftest import Found
from tests.custody_accounts.test_refusals import THIEF
from tests.custody_accounts.test_stories import ONE_ETH, ONE_USDT, STRANGER, swept

GWEI = 10**9


def stolen_key(custody: AccountCustody, account: int) -> bytes:
    """Return what four who put their shares together have: the key of the treasury (0), or of a deposit address."""
    record = custody.hardware.keys[ETHEREUM]
    points = {}
    for name in record.parties[: record.threshold]:
        kept = custody.cosigners[name].vault.in_force(record.name)
        assert kept is not None
        points[record.place_of(name)] = secret_of(custody.cosigners[name].vault.share(kept))
    secret = interpolated(points)
    public, code = bytes.fromhex(record.public_key), bytes.fromhex(record.chain_code)
    assert public_key_of(secret) == public
    for number in (1, account):
        mixed = hmac.new(code, public + number.to_bytes(4, "big"), hashlib.sha512).digest()
        secret = (secret + int.from_bytes(mixed[:32], "big")) % ORDER
        public, code = child_of(public, code, number)
    key = secret.to_bytes(32, "big")
    room = custody.rails[ETHEREUM].room
    address = room.deposit_address(account) if account else room.treasury
    assert spelt(address_of(PrivateKey(key).public_key.format())) == address
    return key


def moved(custody: AccountCustody, account: int, to: str, wei: int) -> None:
    """Have coins moved with a stolen key."""
    key = stolen_key(custody, account)
    nonce = custody.ethereum.nonce(spelt(address_of(PrivateKey(key).public_key.format())), "latest")
    payment = ethereum.Transaction(CHAIN_ID, nonce, GWEI, 10 * GWEI, 21_000, read_address(to), wei, b"")
    custody.ethereum.send(signed(payment, key))
    custody.mine()


@pytest.mark.parametrize("account", [0, 2])
@pytest.mark.parametrize("wei", [1, 10**18])
def test_what_a_stolen_key_takes_is_missing_at_the_next_look(found: Found, account: int, wei: int) -> None:
    custody = found(ETHEREUM)
    custody.deposit(1, ETH, 3 * 10**18)
    swept(custody, ETH, 1)
    custody.pay_in(ETHEREUM, custody.rails[ETHEREUM].room.deposit_address(2), 2 * 10**18)
    custody.mine()
    custody.check()
    moved(custody, account, THIEF, wei)
    ether, dollars = custody.reports()
    assert ether.difference == -wei
    assert dollars.agrees
    assert len(custody.explained(ETH).unexplained) == 1


@pytest.mark.parametrize("wei", [1, 2 * 10**18])
def test_once_something_is_missing_nothing_is_signed_any_more(found: Found, wei: int) -> None:
    """However little it is: the company's money that lies beside it hides nothing."""
    custody = found(ETHEREUM)
    custody.deposit(1, ETH, 3 * 10**18)
    swept(custody, ETH, 1)
    number = custody.ask_for(1, ETH, ONE_ETH, STRANGER, fee_max=2_000_000)
    proposal = Proposal(custody, custody.intent(number))
    moved(custody, 0, THIEF, wei)
    proposal.refused(proposal.honest(), "policy", "P26")


def test_fees_that_the_company_has_not_paid_in_are_missing(found: Found) -> None:
    """Coins stay ours, and the fee for moving them was taken from clients."""
    custody = found(ETHEREUM, fees_raw=0)
    custody.deposit(1, ETH, 3 * 10**18)
    custody.deposit(2, USDT, 500 * ONE_USDT)
    moved(custody, 1, custody.rails[ETHEREUM].room.treasury, 2 * 10**18)
    ether, dollars = custody.reports()
    fee = sum(one.fee_raw for one in custody.followers[ETHEREUM].spent.values())
    assert ether.difference == -fee < 0
    assert dollars.agrees
    custody.pay_in(ETHEREUM, custody.rails[ETHEREUM].room.treasury, fee)
    custody.mine()
    assert all(one.agrees for one in custody.reports())
