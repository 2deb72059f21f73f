"""Proofs of `ringfence up`: published by itself, found by a client in the browser and on the command line, and checked
by a stranger who has nodes of their own."""

import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import bdkpython
import pytest

from ringfence.custody.chains.bitcoin.rpc import BitcoinRpc, Endpoint
from ringfence.custody.chains.bitcoin.utxo_snapshot import read_coins
from ringfence.custody.chains.ethereum.devnet import anvil_path
from ringfence.custody.hsm import softhsm_module
from ringfence.custody.quorum.mpc.engine import engine_path
from ringfence.daemons.account_chains import read_nodes
from ringfence.daemons.chain_founding import ETHEREUM_CHAIN, SOLANA_CHAIN
from ringfence.daemons.custody_ports import read_ports
from ringfence.ports import HOST
from ringfence.testing.client import Client
from ringfence.testing.up import RINGFENCE, Up, wait_for
from tests.browser.chromium import Verifier, chromium
from tests.e2e.test_custody import custody
from tests.e2e.test_up import Trader
from tests.proofs.bitmex_reserves import validate

pytestmark = pytest.mark.slow

DEPOSITS = {"Gwei": 3 * 10**9, "USDt": 500 * 10**6, "LAMPORT": 4 * 10**9, "XBt": 12 * 10**8}


def verify(what: str, *options: str | Path) -> tuple[int, str]:
    """Run `ringfence verify`; return its exit status and everything it said."""
    command = [RINGFENCE, "verify", what, *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def proofs(directory: Path, *options: str) -> tuple[int, str]:
    command = [RINGFENCE, "proofs", *options, "--directory", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def report(directory: Path) -> dict[str, Any]:
    path = directory / "proofs" / "report.json"
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {"snapshot": None}
    return found


def ask(trader: Trader, path: str) -> Any:
    return trader.call("GET", f"/api/v1{path}")[1]


def kill_prover(directory: Path) -> None:
    processes = json.loads((directory / "run.json").read_bytes())["processes"]
    os.kill(next(one["pid"] for one in processes if one["name"] == "prover"), signal.SIGKILL)


def fetch(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return (
                answer.status,
                answer.read(),
                {name.lower(): value for name, value in answer.headers.items()},
            )
    except urllib.error.HTTPError as error:
        return error.code, error.read(), {}


@pytest.mark.skipif(
    softhsm_module() is None or shutil.which("softhsm2-util") is None,
    reason="SoftHSM is not installed: Debian package softhsm2",
)
@pytest.mark.skipif(engine_path() is None, reason="the MPC engine is not built: Rust, then `make mpc`")
@pytest.mark.skipif(anvil_path() is None, reason="anvil is not installed: npm, then `make anvil`")
def test_a_client_and_a_stranger_check_everything_that_is_published(tmp_path: Path) -> None:
    directory = tmp_path / "exchange"
    with Up(directory, "--no-bots", "--coin-keys", "6", custody=True, chains=True) as up:
        wait_for(lambda: "XBt come and go" in up.text, 120, "keys of all chains")
        # The first comes by itself.
        wait_for(lambda: report(directory)["snapshot"] == 1, 120, "first snapshot")
        key = up.key("demo-2")
        account = Client(up.port, key).account
        for currency, amount in DEPOSITS.items():
            custody("faucet", amount, "--account", account, "--currency", currency, "--directory", directory)
        trader = Trader(up.url, key)

        def is_credited() -> bool:
            margins = {one["currency"]: one["amount"] for one in ask(trader, "/user/margin?currency=all")}
            return all(margins.get(currency, 0) >= amount for currency, amount in DEPOSITS.items())

        wait_for(is_credited, 60, "deposits that are credited")
        # Killed while it works: what was half done was never published, and it goes on.
        (directory / "proofs" / "asked").touch()
        wait_for(lambda: not report(directory)["findings"], 5, "prover that is content")
        kill_prover(directory)
        (directory / "proofs" / "asked").unlink(missing_ok=True)
        wait_for(lambda: (directory / "proofs" / "desk.sock").exists(), 10, "prover")
        code, said = proofs(directory, "publish")
        assert code == 0, said
        published = directory / "proofs" / "published"
        newest = json.loads(json.loads((published / "index.json").read_bytes())["index"])["snapshots"][-1]
        folder, venue = published / newest["folder"], (directory / "roots" / "venue.pub").read_text().strip()
        assert {name: one["reserves"] for name, one in newest["assets"].items()} == {
            name: str(amount) for name, amount in DEPOSITS.items()
        }

        a_client(up, trader, folder, venue)
        a_stranger(directory, folder, venue, tmp_path)
        nobody_gets_out(up)

        # A co-signer that is frozen shows nothing, so nothing is published, and the prover says why.
        custody("freeze", "--because", "looking", "--directory", directory)
        code, said = proofs(directory, "publish", "--seconds", "25")
        assert (code, "looking" in said) == (1, True), said
        assert proofs(directory, "status")[0] == 70


def a_client(up: Up, trader: Trader, folder: Path, venue: str) -> None:
    """Find a balance by the API's nonce: on the command line in both formats, and in the browser, offline."""
    said = ask(trader, "/porl/nonce?currency=XBt")
    expected = int(said["balanceText"])
    assert expected == 10 * 10**8 + DEPOSITS["XBt"] == said["balance"]
    assert said["filename"] == f"{folder.name}/XBt.liabilities.csv"
    who = ("--account", str(said["account"]), "--login", said["login"], "--venue", venue)
    mine = (*who, "--account-nonce", said["accountNonce"])
    code, words = verify("liabilities", folder / "XBt.porl2", *mine, "--expect", "22")
    assert code == 0, words
    assert "Of it 22 XBT in" in words
    code, words = verify(
        "liabilities", folder / "XBt.liabilities.csv", *who, "--nonce", said["nonce"], "--expect", "22"
    )
    assert code == 0, words
    code, words = verify(
        "liabilities", folder / "XBt.porl2", *who, "--nonce", said["snapshotKey"], "--expect", "21.5"
    )
    assert (code, "2150000000 were expected" in words) == (3, True), words
    code, words = verify("liabilities", folder / "XBt.porl2", *mine[:-2], "--account-nonce", "00")
    assert code == 4, words
    code, words = verify("liabilities", folder / "XBt.porl2", *mine[:4], *mine[6:], "--expect", "22")
    assert (code, "--venue" in words) == (4, True), words
    snapshots = json.loads(fetch(f"{up.url}/api/v1/porl/snapshots")[1])
    assert snapshots[0]["snapshot"] == said["snapshot"]
    assert snapshots[0]["reservesText"] == str(DEPOSITS["XBt"])
    nonces = {ask(trader, f"/porl/nonce?currency={currency}")["accountNonce"] for currency in DEPOSITS}
    assert len(nonces) == 4, "the trees of two assets cannot be put side by side"
    with chromium() as browser:
        in_the_browser(up, browser, folder, venue, said)


def in_the_browser(up: Up, browser: Any, folder: Path, venue: str, said: dict[str, Any]) -> None:
    """The page as the exchange serves it, saved; then without any network."""
    page_bytes = fetch(f"{up.url}/proofs/verifier.html")[1]
    saved = folder.parent.parent / "saved.html"
    saved.write_bytes(page_bytes)
    page = browser.new_page()
    page.context.set_offline(True)
    verifier = Verifier(page, saved.as_uri())
    files = {name: (folder / name).read_bytes() for name in ("XBt.porl2", "XBt.liabilities.csv", "XBt.bind")}
    files["index.json"] = (folder.parent / "index.json").read_bytes()
    form = {
        "venue": venue, "account": str(said["account"]), "login": said["login"], "kind": "account", "unit": "coins",
        "key": said["accountNonce"], "expect": "22", "blocks": "",
    }  # fmt: skip
    result = verifier.check(files, form)
    assert result["verdict"] == 0, [one for one in result["checks"] if one["status"] != "ok"]
    assert result["found"]["units"] == said["balanceText"]
    assert verifier.check(files, {**form, "expect": "21"})["verdict"] == 3
    page.close()


def a_stranger(directory: Path, folder: Path, venue: str, tmp_path: Path) -> None:
    """Check coins, keys and history with nodes of one's own."""
    code, said = verify("reserves", folder)
    assert (code, "amounts were not held against the chain" in said) == (4, True), said
    nodes, node = read_nodes(directory), f"{HOST}:{read_ports(directory).node}"
    cookie = directory / "bitcoin" / ".cookie"
    rpc = BitcoinRpc(Endpoint(HOST, read_ports(directory).node, cookie))
    info = rpc.chain_info()
    given = (
        "--node", f"http://{node}", "--cookie", cookie, "--ethereum", nodes[ETHEREUM_CHAIN], "--solana",
        nodes[SOLANA_CHAIN], "--venue", venue,
    )  # fmt: skip
    code, said = verify("reserves", folder, *given)
    assert code == 0, said
    assert "one key of policy and two of operations have signed" in said
    # Blocks come meanwhile, none goes.
    assert rpc.block_hash(info.height) == info.tip, "the node was disturbed"
    forged(folder, rpc, given, tmp_path)

    # The blocks come that draw a minute of the period before; it is replayed, and what was committed to.
    wait_for(lambda: report(directory)["opened"] >= 1, 120, "opened minute")
    code, said = verify("history", folder.parent, "--venue", venue, "--node", node, "--cookie", cookie)
    assert code == 0, said
    code, said = verify("history", folder.parent, "--venue", venue, "--json")
    assert (code, json.loads(said.splitlines()[0])["opened"] >= 1) == (4, True), said
    code, said = verify("history", folder.parent, "--venue", "ab" * 32)
    assert (code, "another exchange" in said) == (2, True), said


def forged(folder: Path, rpc: BitcoinRpc, given: tuple[Any, ...], tmp_path: Path) -> None:
    """A dump of another block says nothing, one satoshi more is named; BitMEX's validator takes the list as well."""
    listed = json.loads((folder / "reserves.json").read_bytes())
    rpc.dump_coins(tmp_path / "coins.dat", listed["height"])
    rpc.dump_coins(tmp_path / "before.dat", listed["height"] - 1)
    code, said = verify("reserves", folder, "--dump", tmp_path / "before.dat")
    assert (code, "the coins are those at block" in said) == (4, True), said
    copy = tmp_path / "forged"
    shutil.copytree(folder, copy)
    total = str(DEPOSITS["XBt"])
    raw = (folder / "reserves.json").read_bytes()
    (copy / "reserves.json").write_bytes(
        raw.replace(f'"total":"{total}"'.encode(), f'"total":"{total[:-1]}1"'.encode())
    )
    code, said = verify("reserves", copy, *given)
    assert (code, f"XBt: the total is {total[:-1]}1" in said) == (2, True), said

    def scan(descriptors: list[str]) -> int:
        scripts = []
        for one in descriptors:
            of = bdkpython.Descriptor(one, bdkpython.NetworkKind.TEST)
            scripts.append(bytes(of.derive_address(0, bdkpython.Network.REGTEST).script_pubkey().to_bytes()))
        return sum(coin.output.amount_sats for coin in read_coins(tmp_path / "coins.dat", scripts)[1])

    assert validate((folder / "reserves.yaml").read_bytes(), chain="regtest", scan=scan) >= DEPOSITS["XBt"]


def nobody_gets_out(up: Up) -> None:
    """Files come in parts, and nothing but what was published comes."""
    status, whole, headers = fetch(f"{up.url}/proofs/000001/XBt.porl2")
    assert (status, headers["accept-ranges"], "immutable" in headers["cache-control"]) == (200, "bytes", True)
    status, part, headers = fetch(f"{up.url}/proofs/000001/XBt.porl2", Range="bytes=8-27")
    assert (status, part, headers["content-range"]) == (206, whole[8:28], f"bytes 8-27/{len(whole)}")
    assert fetch(f"{up.url}/proofs/000001/XBt.porl2", Range=f"bytes={len(whole)}-")[0] == 416
    assert fetch(f"{up.url}/proofs/000001/XBt.porl2", Range="lines=1-2")[1] == whole
    assert "default-src 'none'" in fetch(f"{up.url}/proofs/verifier.html")[2]["content-security-policy"]
    for path in ("", "..%2f", "../private/stamps.json", "%2e%2e/signing.key", ".", "000001", "000001/", "a/b/c/d/e",
                 "000001/..", "000001//XBt.porl2", "index.json/", "000001/XBt.porl2%00", "x" * 200):  # fmt: skip
        assert fetch(f"{up.url}/proofs/{path}")[0] == 404, path
    assert fetch(f"{up.url}/api/v1/porl/nonce")[0] == 401


def test_a_venue_without_coins_proves_what_it_owes(tmp_path: Path) -> None:
    directory = tmp_path / "exchange"
    with Up(directory, "--no-bots") as up:
        wait_for(lambda: report(directory)["snapshot"] == 1, 90, "first snapshot")
        trader = Trader(up.url, up.key("demo-1"))
        said = ask(trader, "/porl/nonce")
        venue = (directory / "roots" / "venue.pub").read_text().strip()
        folder = directory / "proofs" / "published"
        code, words = verify(
            "liabilities", folder / "000001" / "XBt.porl2", "--account", str(said["account"]), "--login", said["login"],
            "--account-nonce", said["accountNonce"], "--expect", "10", "--venue", venue,
        )  # fmt: skip
        assert code == 0, words
        code, words = verify("history", folder, "--venue", venue)
        assert code == 0, words
        assert verify("reserves", folder / "000001")[0] == 3
        assert ask(trader, "/porl/nonce?currency=Gwei")["error"]["message"].startswith("no snapshot of Gwei")
        watched = ("--state", tmp_path / "state", "--venue", venue)
        assert "new" in verify("watch", f"{up.url}/proofs", *watched)[1]
        assert "nothing new" in verify("watch", f"{up.url}/proofs/index.json", *watched)[1]
    assert verify("watch", f"{up.url}/proofs", *watched)[0] == 4
