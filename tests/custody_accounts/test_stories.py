"""What clients live to see: coins come, are credited, are swept, and are paid out; it adds up to the last wei."""

import pytest

from ringfence.custody.chains.ethereum.addresses import spelt
from ringfence.custody.chains.solana import addresses as solana
from ringfence.testing.account_custody import ETHEREUM, SOLANA, WEI_PER_GWEI, AccountCustody
from ringfence.units.assets import ETH, SOL, USDT, Asset
from tests.custody_accounts.conftest import Found

ONE_ETH, ONE_SOL, ONE_USDT = 10**9, 10**9, 10**6
STRANGER = spelt(b"\x77" * 20)
SOLANA_STRANGER = solana.spelt(b"\x11" * 31 + b"\x05")
REVERTS = "60006000fd"
"""A contract that takes nothing: PUSH1 0 PUSH1 0 REVERT."""


def fees_paid(custody: AccountCustody, asset: Asset) -> int:
    """Return what the company has paid for by now."""
    follower = custody.followers[custody.rail_of(asset).chain]
    return sum(one.fee_raw for one in follower.spent.values())


def swept(custody: AccountCustody, asset: Asset, account: int) -> None:
    """Wait until what an account has paid in lies at the treasury."""
    rail = custody.rail_of(asset)
    follower, address = custody.followers[rail.chain], rail.room.deposit_address(account)
    custody.until(
        lambda: any(
            leg.source == address and leg.to == rail.room.treasury and leg.asset == asset.currency
            for one in follower.spent.values()
            for leg in one.legs
        )
    )


def test_ether_comes_is_swept_and_is_paid_out(found: Found) -> None:
    custody = found(ETHEREUM)
    crumbs = 123_456_789
    custody.pay_in(ETHEREUM, custody.rails[ETHEREUM].room.deposit_address(7), 2 * 10**18 + crumbs)
    custody.mine()
    custody.turn()
    assert not custody.ledger.credited  # it is in a block, and not final
    assert custody.explained(ETH).uncredited == 2 * 10**18 + crumbs
    custody.until(lambda: bool(custody.ledger.credited))
    assert custody.exchange.free == {(7, ETH.number): 2 * ONE_ETH}
    assert custody.explained(ETH).uncredited == crumbs
    swept(custody, ETH, 7)
    assert custody.explained(ETH).company == 10**18 - fees_paid(custody, ETH) < 10**18

    before = fees_paid(custody, ETH)
    paid = custody.finish(custody.ask_for(7, ETH, ONE_ETH, STRANGER, fee_max=2_000_000))
    fee_wei = fees_paid(custody, ETH) - before
    assert custody.ethereum.balance_wei(STRANGER, "latest") == 10**18
    fee = -(-fee_wei // WEI_PER_GWEI)
    assert (paid.left, paid.returned) == (ONE_ETH + fee, 2_000_000 - fee)
    assert custody.exchange.free[7, ETH.number] == 2 * ONE_ETH - paid.left
    assert custody.explained(ETH).overcharged == -fee_wei % WEI_PER_GWEI


def test_tether_needs_the_companys_ether_at_every_step(found: Found) -> None:
    custody = found(ETHEREUM)
    custody.deposit(3, USDT, 500 * ONE_USDT)
    swept(custody, USDT, 3)
    names = [flow.batch.id for flow in custody.flows()]
    assert [name.startswith(("batch-sweep-Gwei-3", "batch-sweep-USDt-3")) for name in names] == [True, True]
    number = custody.ask_for(3, USDT, 120 * ONE_USDT, STRANGER)
    paid = custody.finish(number)
    assert (paid.left, paid.returned) == (120 * ONE_USDT, 0)
    token = custody.annexes[ETHEREUM].asset("USDt").contract
    assert custody.ethereum.token_raw(token, STRANGER, "latest") == 120 * ONE_USDT
    assert custody.explained(ETH).company == 10**18 - fees_paid(custody, ETH)
    assert custody.explained(USDT).held == 380 * ONE_USDT


def test_sol_comes_is_swept_and_is_paid_out(found: Found) -> None:
    custody = found(SOLANA)
    custody.deposit(5, SOL, 3 * ONE_SOL)
    swept(custody, SOL, 5)
    paid = custody.finish(custody.ask_for(5, SOL, ONE_SOL, SOLANA_STRANGER, fee_max=10_000))
    assert (paid.left, paid.returned) == (ONE_SOL + 5_000, 5_000)
    assert custody.solana.balance_lamports(SOLANA_STRANGER) == ONE_SOL
    assert custody.explained(SOL).company == 10**9 - 5_000


@pytest.mark.parametrize(("chain", "asset", "raw"), [(ETHEREUM, ETH, 10**13), (SOLANA, SOL, 999_999)])
def test_dust_is_shown_and_credited_to_nobody(found: Found, chain: str, asset: Asset, raw: int) -> None:
    custody = found(chain)
    custody.pay_in(chain, custody.rails[chain].room.deposit_address(1), raw)
    for _ in range(6):
        custody.mine()
        custody.turn()
        custody.check()
    (one,) = custody.rails[chain].deposits(custody.ledger)
    assert (one.state, one.account) == ("dust", 1)
    assert not custody.exchange.said
    assert custody.explained(asset).uncredited == raw


def test_nothing_of_a_clients_is_taken_for_sweeps_and_tokens(found: Found) -> None:
    """The company has paid in nothing: the treasury's ether is the clients', and no fee but their own comes of it."""
    custody = found(ETHEREUM, fees_raw=0)
    custody.deposit(1, ETH, 2 * 10**18)
    custody.deposit(2, USDT, 500 * ONE_USDT)
    for _ in range(4):
        custody.mine()
        custody.turn()
    assert not custody.flows()
    assert custody.explained(ETH).company == 0
    number = custody.ask_for(1, ETH, ONE_ETH, STRANGER, fee_max=2_000_000)
    custody.turn()
    assert not custody.flows()  # it waits for what cannot be swept
    assert custody.withdrawal(number).locked


def test_what_a_contract_does_not_take_is_refused_before_anything_is_signed(found: Found) -> None:
    custody = found(ETHEREUM)
    contract = spelt(b"\x42" * 20)
    custody.ethereum.call("anvil_setCode", contract, f"0x{REVERTS}")
    custody.deposit(1, ETH, 2 * 10**18)
    swept(custody, ETH, 1)
    done = custody.finish(custody.ask_for(1, ETH, ONE_ETH, contract, fee_max=2_000_000))
    assert (done.left, done.returned) == (0, ONE_ETH + 2_000_000)
    assert custody.exchange.free[1, ETH.number] == 2 * ONE_ETH
    flow = custody.flows()[-1]
    assert "it would fail" in flow.given_up
    assert not flow.may_be_signed


def test_what_fails_on_the_chain_costs_the_fee_and_comes_back(found: Found) -> None:
    """The contract has changed its mind after it was asked."""
    custody = found(ETHEREUM)
    contract = spelt(b"\x42" * 20)
    custody.ethereum.call(
        "anvil_setCode", contract, "0x6000600050500000"
    )  # takes what comes, and needs a little gas
    custody.deposit(1, ETH, 2 * 10**18)
    swept(custody, ETH, 1)
    before = fees_paid(custody, ETH)
    number = custody.ask_for(1, ETH, ONE_ETH, contract, fee_max=2_000_000)
    custody.until(
        lambda: bool(custody.flows()[-1].attempts) and custody.flows()[-1].batch.intents[0].id == str(number)
    )
    custody.ethereum.call("anvil_setCode", contract, f"0x{REVERTS}")
    done = custody.finish(number)
    fee_wei = fees_paid(custody, ETH) - before
    assert done.left == -(-fee_wei // WEI_PER_GWEI) > 0
    assert done.left + done.returned == ONE_ETH + 2_000_000
    assert custody.ethereum.balance_wei(contract, "latest") == 0


def test_a_small_payment_is_made_when_blocks_are_dear(found: Found) -> None:
    custody = found(ETHEREUM)
    custody.deposit(1, ETH, 10**18)
    swept(custody, ETH, 1)
    custody.ethereum.call("anvil_setNextBlockBaseFeePerGas", hex(20 * WEI_PER_GWEI))
    custody.mine()
    paid = custody.finish(custody.ask_for(1, ETH, ONE_ETH // 1_000, STRANGER, fee_max=2_000_000))
    assert custody.ethereum.balance_wei(STRANGER, "latest") == 10**15
    assert paid.left > ONE_ETH // 1_000 + 200_000
