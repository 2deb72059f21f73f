"""Ether, dollars, SOL and fast Bitcoin in and out of `ringfence up`, on real chains; processes die on the way."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ringfence.custody.chains.ethereum.addresses import spelt
from ringfence.custody.chains.ethereum.devnet import USDT_ADDRESS, anvil_path
from ringfence.custody.chains.ethereum.rpc import EthereumRpc
from ringfence.custody.chains.solana.rpc import SolanaRpc
from ringfence.custody.demonstration import PEOPLE, PLACES
from ringfence.custody.hsm import softhsm_module
from ringfence.custody.quorum.mpc.engine import engine_path
from ringfence.daemons.account_chains import read_nodes
from ringfence.daemons.chain_founding import ETHEREUM_CHAIN, SOLANA_CHAIN
from ringfence.testing.bitcoin import NOBODY
from ringfence.testing.intruder import credit_nothing
from ringfence.testing.shamir import interpolated
from ringfence.testing.up import Up, wait_for
from ringfence.units.assets import BY_CURRENCY, ETH, SOL, USDT, XBT
from tests.conformance.conftest import CLIENTS, tell
from tests.e2e.test_custody import custody, kill, run_custody, trader_account, withdrawals
from tests.e2e.test_threshold_keys import dumps_of, is_in, public_key_of, secret_of, share_of
from tests.e2e.test_up import Trader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        softhsm_module() is None or shutil.which("softhsm2-util") is None,
        reason="SoftHSM is not installed: Debian package softhsm2",
    ),
    pytest.mark.skipif(engine_path() is None, reason="the MPC engine is not built: Rust, then `make mpc`"),
    pytest.mark.skipif(anvil_path() is None, reason="anvil is not installed: npm, then `make anvil`"),
]
SOMEBODY, SOMEBODY_ON_SOLANA = (
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin",
)
DEPOSITS = {
    ETH.currency: 3 * 10**9,
    USDT.currency: 500 * 10**6,
    SOL.currency: 4 * 10**9,
    XBT.currency: 12 * 10**8,
}


def test_coins_of_every_chain_come_and_go_under_keys_that_are_nowhere_whole(tmp_path: Path) -> None:
    directory = tmp_path / "exchange"
    with Up(directory, "--no-bots", "--coin-keys", "6", custody=True, chains=True) as up:
        there = ("--directory", directory)
        trader = Trader(up.url, up.key("demo-2"))
        wait_for(lambda: "XBt come and go" in up.text, 120, "keys of all chains")
        wait_for(
            lambda: set(differences(there)) == set(DEPOSITS), 30, "coordinator that knows of all of them"
        )

        # In: through the command line's faucet, to addresses that two processes have derived.
        before = {currency: wallet(trader, currency)["amount"] for currency in DEPOSITS}
        for currency, amount in DEPOSITS.items():
            custody("faucet", amount, "--account", trader_account(trader), "--currency", currency, *there)
        for currency, amount in DEPOSITS.items():
            wanted = before[currency] + amount
            wait_for(
                lambda c=currency, w=wanted: wallet(trader, c)["amount"] == w, 60, f"credit of {currency}"
            )
        mine = deposit_address(trader, ETH.currency)
        assert mine == deposit_address(trader, USDT.currency)
        assert (
            "none of Gwei's network"
            in withdraw(trader, ETH.currency, 10**8, SOMEBODY.lower())["error"]["message"]
        )

        # Out: by a client that others wrote.
        ethereum, solana = (
            EthereumRpc(read_nodes(directory)[ETHEREUM_CHAIN]),
            SolanaRpc(read_nodes(directory)[SOLANA_CHAIN]),
        )
        if (CLIENTS / "ccxt").exists():
            os.environ |= {"TO_ETHEREUM": SOMEBODY, "TO_SOLANA": SOMEBODY_ON_SOLANA}
            assert tell(up, "ccxt", "ccxt_chains.py", key="demo-2", seconds=150).count("withdrawn in") == 3
            assert ethereum.balance_wei(SOMEBODY, "latest") == 25 * 10**16
            assert ethereum.token_raw(spelt(USDT_ADDRESS), SOMEBODY, "latest") == 40 * 10**6
            assert solana.balance_lamports(SOMEBODY_ON_SOLANA) == 5 * 10**8

        # Everybody who has a part in it dies once; nothing is lost and nothing is paid twice.
        held = ethereum.balance_wei(SOMEBODY, "latest")
        asked = withdraw(trader, ETH.currency, 10**9, SOMEBODY)
        for name in ("coordinator", "cosigner-policy-1", "ethereum", "solana"):
            kill(up, name)
        wait_for(lambda: state_of(trader, asked) == "Completed", 120, "payment")
        assert ethereum.balance_wei(SOMEBODY, "latest") == held + 10**18
        row = next(one for one in withdrawals(there) if one["txid"] == history(trader, asked)["tx"])
        assert len(row["signers"]) == 4
        assert sum(one.startswith("ops") for one in row["signers"]) >= 2
        assert row["returned"] == ETH.withdrawal_fee - (row["left"] - 10**9)

        # New shares: the address stays, what was shared before is worth nothing, and payments go on.
        people = directory / "custody" / "people"
        both = [word for who in PEOPLE for word in ("--person", who, "--key", people / f"{who}.key")]
        said = custody("key", "refresh", "eip155", *both, *there)
        assert "epoch 2 is in force at all of them" in said
        assert deposit_address(trader, ETH.currency) == mine
        again = withdraw(trader, ETH.currency, 10**8, SOMEBODY)
        wait_for(lambda: state_of(trader, again) == "Completed", 60, "payment by the second epoch")

        # The hot wallet was filled from the cold one, and pays what is small.
        fast = withdraw(trader, XBT.currency, 10**7, NOBODY)
        wait_for(lambda: state_of(trader, fast) == "Completed", 60, "fast payment")
        shown = json.loads(custody("show", withdrawals(there)[0]["withdrawal"], *there, "--json"))
        assert (shown["intents"][0]["chain"], len(shown["signers"])) == ("regtest:hot", 4)
        assert any("hot wallet" in one["what"] for one in shown["transaction"]["outputs"])
        drawn = json.loads(custody("nominations", *there, "--json"))
        assert drawn
        assert all(one["agrees"] for one in drawn)

        # It adds up on every chain, to its smallest unit; the judges think so too.
        wait_for(lambda: set(differences(there).values()) == {0}, 30, "reconciliation")
        assert set(differences(there)) == set(DEPOSITS)
        assert trader.call("GET", "/api/v1/halt/status")[1]["halted"] == []

        # The key is in no process: neither in the exchange's nor in any co-signer's.
        dumps = dumps_of(up)

        # Somebody who owns the exchange's servers credits ether that never came.
        asyncio.run(credit_nothing(directory, 10**9, asset=ETH.number))
        wait_for(lambda: "Withdrawals" in halted(trader), 20, "halt of withdrawals")
        assert differences(there)[ETH.currency] == -(10**18)

    shares = {name: secret_of(share_of(directory, name, "eip155", 2)) for name in PLACES}
    whole = interpolated({place: shares[name] for place, name in enumerate(list(PLACES)[:4], 1)})
    record = json.loads((directory / "custody" / "keys" / "eip155.json").read_text())["ready"][0]["record"]
    assert public_key_of(whole).hex() == record["public_key"]
    for name, content in dumps.items():
        assert not is_in(whole, content), f"{name} has the key"
        has = {holder for holder, share in shares.items() if is_in(share, content)}
        assert has <= {name.removeprefix("cosigner-")}, f"{name} has the shares of {has}"


def wallet(trader: Trader, currency: str) -> dict[str, Any]:
    found: dict[str, Any] = trader.call("GET", f"/api/v1/user/wallet?currency={currency}")[1]
    return found


def deposit_address(trader: Trader, currency: str) -> str:
    where = f"currency={currency}&network={BY_CURRENCY[currency].network}"
    return str(trader.call("GET", f"/api/v1/user/depositAddress?{where}")[1])


def withdraw(trader: Trader, currency: str, amount: int, address: str) -> dict[str, Any]:
    body = {
        "currency": currency, "network": BY_CURRENCY[currency].network, "amount": amount, "address": address,
    }  # fmt: skip
    said: dict[str, Any] = trader.call("POST", "/api/v1/user/requestWithdrawal", body)[1]
    return said


def history(trader: Trader, asked: dict[str, Any]) -> dict[str, Any]:
    where = f"currency={asked['currency']}&count=50"
    rows = trader.call("GET", f"/api/v1/user/walletHistory?{where}")[1]
    return next(dict(row) for row in rows if row["transactID"] == asked["transactID"])


def state_of(trader: Trader, asked: dict[str, Any]) -> str:
    return str(history(trader, asked)["transactStatus"])


def halted(trader: Trader) -> set[str]:
    return {row["scope"] for row in trader.call("GET", "/api/v1/halt/status")[1]["halted"]}


def differences(there: tuple[object, ...]) -> dict[str, int]:
    """Return by currency what chain and ledger differ by; nothing while the coordinator looks from the beginning."""
    said = run_custody("status", *there, "--json")
    found = json.loads(said.stdout)["reconciled"] if not said.returncode else {}
    return {currency: int(one["difference"]) for currency, one in found.items()}
