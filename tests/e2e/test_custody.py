"""Coins in and out of `ringfence up`, as a trader, an operator and a stranger see it; processes die on the way."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringfence.cli.custody import ask_desk
from ringfence.custody.chains.bitcoin.rpc import BitcoinRpc, Endpoint
from ringfence.custody.demonstration import PEOPLE
from ringfence.custody.hsm import softhsm_module
from ringfence.custody.wallets.coins import Outpoint
from ringfence.daemons.custody_ports import read_ports
from ringfence.daemons.funds_feed import FundsFeed
from ringfence.daemons.supervisor import read_run_state
from ringfence.exchange.projections.coins import number_of
from ringfence.messages.funds import Wish
from ringfence.testing.bitcoin import NOBODY
from ringfence.testing.canaries import command_lines, leaks, logs_of, secrets_of
from ringfence.testing.intruder import credit_nothing, forge_wish
from ringfence.testing.up import RINGFENCE, Up, wait_for
from tests.conformance.conftest import CLIENTS, tell
from tests.e2e.test_up import Trader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        softhsm_module() is None or shutil.which("softhsm2-util") is None,
        reason="SoftHSM is not installed: Debian package softhsm2",
    ),
]
XBT = 10**8


def run_custody(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [RINGFENCE, "custody", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def custody(*arguments: object) -> str:
    done = run_custody(*arguments)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def kill(up: Up, name: str) -> None:
    state = read_run_state(up.directory)
    assert state is not None
    os.kill(next(process.pid for process in state.processes if process.name == name), signal.SIGKILL)


def test_a_trader_deposits_trades_and_withdraws_while_processes_die(tmp_path: Path) -> None:
    directory = tmp_path / "exchange"
    with Up(directory, custody=True) as up:
        there = ("--directory", directory)
        trader = Trader(up.url, up.key("demo-2"))
        where = "currency=XBt&network=btc"
        status, address = trader.call("GET", f"/api/v1/user/depositAddress?{where}")
        assert (status, address[:6]) == (200, "bcrt1q")
        before = trader.call("GET", "/api/v1/user/wallet?currency=XBt")[1]

        custody("faucet", 3 * XBT // 2, "--account", trader_account(trader), *there)
        wait_for(lambda: wallet(trader)["amount"] == before["amount"] + 3 * XBT // 2, 30, "credit")
        history = trader.call("GET", "/api/v1/user/walletHistory?currency=XBt&count=1")[1]
        assert (history[0]["transactType"], history[0]["amount"]) == ("Deposit", 3 * XBT // 2)
        assert len(history[0]["tx"]) == 64

        order = {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "ordType": "Market"}
        assert trader.call("POST", "/api/v1/order", order)[1]["ordStatus"] == "Filled"

        ask = {"currency": "XBt", "network": "btc", "amount": XBT // 2, "address": NOBODY, "fee": 300_000}
        assert (
            trader.call("POST", "/api/v1/user/requestWithdrawal", {**ask, "address": "nonsense!"})[0] == 400
        )
        status, asked = trader.call("POST", "/api/v1/user/requestWithdrawal", ask)
        assert (status, asked["transactStatus"], asked["amount"]) == (200, "Pending", -(XBT // 2 + 300_000))
        assert wallet(trader)["pendingDebit"] == XBT // 2 + 300_000

        # Everybody who has a part in it dies once; nothing is lost and nothing is done twice.
        for name in ("coordinator", "cosigner-ops-1", "cosigner-policy-1", "addresses", "bitcoin"):
            kill(up, name)

        def done() -> Any:
            rows = trader.call("GET", "/api/v1/user/walletHistory?currency=XBt&count=20")[1]
            row = next(one for one in rows if one["transactID"] == asked["transactID"])
            return row if row["transactStatus"] == "Completed" else None

        paid = wait_for(done, 90, "payment")
        wait_for(lambda: wallet(trader)["pendingDebit"] == 0, 10, "rest of the fee")
        rpc = BitcoinRpc(Endpoint("127.0.0.1", read_ports(directory).node, directory / "bitcoin" / ".cookie"))
        outputs = [rpc.tx_out(Outpoint(paid["tx"], n), with_mempool=False) for n in (0, 1)]
        assert XBT // 2 in [one.output.amount_sats for one in outputs if one is not None]
        assert 0 < paid["fee"] < 300_000

        row = json.loads(custody("withdrawals", *there, "--json"))[0]
        assert (row["state"], row["txid"], row["left"]) == ("paid", paid["tx"], XBT // 2 + paid["fee"])
        assert sorted(row["signers"]) == sorted(row["nominated"])
        assert sum(name.startswith("ops") for name in row["signers"]) == 2
        shown = json.loads(custody("show", row["withdrawal"], *there, "--json"))
        assert {one["what"] for one in shown["transaction"]["outputs"]} == {
            f"withdrawal {row['withdrawal']}", "comes back: change 0 of clients",
        }  # fmt: skip
        assert sorted(shown["verdicts"]) == sorted(row["signers"])
        assert all(one["allows"] for rows in shown["verdicts"].values() for one in rows)
        drawn = json.loads(custody("nominations", *there, "--json"))
        assert [(one["agrees"], one["quorum"]) for one in drawn] == [(True, row["nominated"])]

        def agrees() -> Any:
            last = json.loads(custody("status", *there, "--json"))["reconciled"].get("XBt")
            return last if last and last["difference"] == 0 and not last["items"] else None

        report = wait_for(agrees, 20, "reconciliation")
        assert report["chain"]["clients"] == report["backed"] == 3 * XBT // 2 - row["left"]
        assert json.loads(custody("signers", *there, "--json"))["ops-2"]["is_frozen"] is False

        if (CLIENTS / "ccxt").exists():
            os.environ["TO"] = NOBODY
            assert "withdrawn in" in tell(up, "ccxt", "ccxt_coins.py", key="demo-2")

        # A large one waits until a person has approved it; nobody else's waits for it.
        held = wallet(trader)["amount"]
        custody("faucet", 45 * XBT, "--account", trader_account(trader), *there)
        wait_for(lambda: wallet(trader)["amount"] == held + 45 * XBT, 30, "credit")
        assert trader.call("POST", "/api/v1/user/requestWithdrawal", {**ask, "amount": 20 * XBT})[0] == 200
        newest = wait_for(lambda: waits_for_approval(there), 30, "refusal for want of an approval")
        assert [one["withdrawal"] for one in json.loads(custody("pending", *there, "--json"))] == [
            newest["withdrawal"]
        ]
        small = trader.call("POST", "/api/v1/user/requestWithdrawal", ask)[1]["transactID"]
        wait_for(lambda: state_of(there, small) == "paid", 60, "payment of a small one meanwhile")
        assert state_of(there, newest["withdrawal"]) == "locked"
        anna = ("--person", "custody-anna", "--key", directory / "custody" / "people" / "custody-anna.key")
        said = custody("approve", "--withdrawal", newest["withdrawal"], *anna, *there)
        assert "approves 2,000,000,000 XBt" in said
        assert NOBODY in said
        wait_for(lambda: state_of(there, newest["withdrawal"]) == "paid", 30, "payment")

        # One person is enough to stop one, and its coins come back.
        stopped = trader.call("POST", "/api/v1/user/requestWithdrawal", {**ask, "amount": 20 * XBT})[1]
        row = wait_for(lambda: waits_for_approval(there), 30, "another that waits")
        bert = ("--person", "custody-bert", "--key", directory / "custody" / "people" / "custody-bert.key")
        posing = (bert[0], "custody-anna", *bert[2:])
        veto = ("veto", "--withdrawal", row["withdrawal"], "--because", "theft", *there)
        assert "not signed by somebody who may" in run_custody(*veto, *posing).stderr
        custody(*veto, *bert)
        wait_for(lambda: state_of(there, stopped["transactID"]) == "returned", 30, "coins to come back")
        assert "stopped by custody-bert: theft" in withdrawals(there)[0]["because"]

        # What the client's own key has not signed is not paid, whoever asks.
        sign = own_key(tmp_path, trader)
        assert trader.call("POST", "/api/v1/user/withdrawalKey", sign("sign-key"))[0] == 200
        status, said = trader.call("POST", "/api/v1/user/requestWithdrawal", ask)
        assert (status, "has to sign this" in said["error"]["message"]) == (400, True)
        home = sign("sign-address", "--address", NOBODY, "--name", "home")
        assert trader.call("POST", "/api/v1/address", home)[1]["name"] == "home"
        signed = sign("sign", "--address", NOBODY, "--amount", XBT // 10)
        mine = trader.call("POST", "/api/v1/user/requestWithdrawal", signed)[1]["transactID"]
        assert "nonce" in trader.call("POST", "/api/v1/user/requestWithdrawal", signed)[1]["error"]["message"]
        forged = Wish(NOBODY, XBT // 10, 200_000, is_confirmed=True)
        asyncio.run(forge_wish(directory, trader_account(trader), custody_account(directory), forged))
        wait_for(lambda: state_of(there, mine) == "paid", 60, "payment of what was signed")
        wait_for(lambda: withdrawals(there)[0]["state"] == "returned", 30, "what was forged to come back")
        assert "has not signed" in withdrawals(there)[0]["because"]

        # One person tightens the policy; every co-signer has it at once.
        drafted = tmp_path / "policy.json"
        assert "tightens: cap" in custody(
            "policy", "draft", "--output", drafted, "--set", f"cap={30 * XBT}", *there
        )
        assert f"cap: {30 * XBT}" in custody("policy", "sign", drafted, *anna)
        assert "version 2 is in force at 5 co-signers" in custody("policy", "announce", drafted, *there)
        shown = json.loads(custody("policy", "show", "--json", *there))
        assert (shown["inForce"]["version"], shown["pending"]) == (2, None)

        # A freeze is everybody's right; then nothing is signed.
        custody("freeze", "--because", "a drill", *there)
        signed = sign("sign", "--address", NOBODY, "--amount", XBT // 10)
        assert trader.call("POST", "/api/v1/user/requestWithdrawal", signed)[0] == 200
        wait_for(
            lambda: "a drill" in json.dumps(withdrawals(there)[0])
            or not withdrawals(there)[0]["txid"],
            10, "refusal",
        )  # fmt: skip
        assert withdrawals(there)[0]["txid"] == ""

        people = [
            ("--person", name, "--key", directory / "custody" / "people" / f"{name}.key") for name in PEOPLE
        ]
        custody("thaw", *people[0], *people[1], *there)
        wait_for(lambda: withdrawals(there)[0]["txid"], 30, "payment")

        # Somebody who owns the exchange's servers credits coins that never came: both scopes are halted at once.
        asyncio.run(credit_nothing(directory, XBT))

        def halted() -> Any:
            rows = trader.call("GET", "/api/v1/halt/status")[1]["halted"]
            return {row["scope"] for row in rows} >= {"Withdrawals", "Venue"}

        wait_for(halted, 20, "halt of withdrawals, then of the venue")
        assert json.loads(custody("status", *there, "--json"))["reconciled"]["XBt"]["difference"] == -XBT

        # PINs of tokens, keys of people and of machines, secrets of traders: all of that has happened without a word.
        secrets = secrets_of(directory)
        assert {Path(one.home).name for one in secrets} >= {"keys.json", "pin", "tls.key"}
        assert leaks(secrets, [*logs_of(directory), *command_lines()]) == []


def custody_account(directory: Path) -> int:
    feed = FundsFeed(directory)
    feed.catch_up()
    feed.close()
    return feed.ledger.custody_account


def own_key(folder: Path, trader: Trader) -> Callable[..., dict[str, Any]]:
    """Make a withdrawal key as a client does; return what signs with it."""
    words = folder / "passphrase"
    words.write_text("correct horse battery")
    key, account = folder / "withdrawal.key", trader_account(trader)

    def run(*arguments: object) -> str:
        command = [RINGFENCE, "withdrawal", *map(str, arguments), "--passphrase-file", str(words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    run("new-key", key)
    return lambda what, *more: json.loads(run(what, "--key", key, "--account", account, *more))


def withdrawals(there: tuple[object, ...]) -> list[dict[str, Any]]:
    """Ask the desk itself: a process of the command line for each look would take most of a story's time."""
    rows: list[dict[str, Any]] = ask_desk(Path(str(there[1])), ask="withdrawals")["withdrawals"]
    return rows


def state_of(there: tuple[object, ...], withdrawal: str | int) -> str:
    """Return the state of a withdrawal by its number, or by its id on the wire; empty if it is not known yet."""
    number = number_of(withdrawal) if isinstance(withdrawal, str) else withdrawal
    return next((str(row["state"]) for row in withdrawals(there) if row["withdrawal"] == number), "")


def waits_for_approval(there: tuple[object, ...]) -> dict[str, Any] | None:
    newest = withdrawals(there)[0]
    return newest if "P6" in newest["waitingFor"] else None


def wallet(trader: Trader) -> dict[str, Any]:
    found: dict[str, Any] = trader.call("GET", "/api/v1/user/wallet?currency=XBt")[1]
    return found


def trader_account(trader: Trader) -> int:
    return int(trader.call("GET", "/api/v1/user")[1]["id"])
