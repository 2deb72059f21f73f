"""The embedded node: it does what Core's does, forgets nothing when it is killed, and is followed through reorgs."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.custody.chains.bitcoin.follow import (
    BlockLeft,
    ChainEvent,
    Confirmed,
    Evicted,
    Follower,
    Reorged,
    Replaced,
    Seen,
    Spent,
    Unspent,
)
from ringfence.custody.chains.bitcoin.regtest.chain import RECYCLE_BLOCKS
from ringfence.custody.chains.bitcoin.regtest.faucet import ADDRESS, spend
from ringfence.custody.chains.bitcoin.rpc import (
    BitcoinRpc,
    Endpoint,
    NodeAwayError,
    NodeDeniedError,
    NodeRefusedError,
    RejectedError,
)
from ringfence.custody.chains.bitcoin.transactions import Transaction, parse_transaction
from ringfence.custody.chains.bitcoin.watch import NodeBehindError, Watch, WrongChainError
from ringfence.custody.wallets.building import Funds, Payment, build
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner
from ringfence.testing.bitcoin import (
    NOBODY,
    CoreNode,
    RunningNode,
    Signers,
    bitcoind,
    funded,
    wallets_of,
)
from ringfence.testing.conformance import check_bitcoin_node

THEIRS = Signers(Owner.COMPANY, 50)
OURS = Signers(seed=51, recovery_blocks=8)
BOTH = wallets_of({Owner.COMPANY: THEIRS, Owner.CLIENTS: OURS})
"""The company plays the customer: it pays to the clients' wallet."""
DEPOSIT = BOTH.derivers[Owner.CLIENTS].script(Keychain.RECEIVE, 0)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path)
    yield running
    running.kill()


def paid(coin: Funds, *, rate: int = 2000, to: bytes = DEPOSIT, amount_sats: int = 5_000_000) -> Transaction:
    unsigned = build(
        BOTH, Owner.COMPANY, [coin], [Payment(to, amount_sats)], fee_rate_sats_per_kvb=rate, change_index=0
    )
    return THEIRS.spend(BOTH, unsigned.psbt, [coin], (0, 1, 3))


def deposit_of(transaction: Transaction) -> Coin:
    (vout,) = (n for n, output in enumerate(transaction.outputs) if output.script == DEPOSIT)
    return Coin(Outpoint(transaction.txid, vout), transaction.outputs[vout].amount_sats, DEPOSIT)


def watch_of(rpc: BitcoinRpc) -> Watch:
    info = rpc.chain_info()
    return Watch(rpc, Follower(is_deposit, height=info.height, digest=info.tip), chain="regtest")


def is_deposit(script: bytes) -> bool:
    mine = BOTH.classify(script)
    return mine is not None and mine.owner == Owner.CLIENTS


def of_coins(events: list[ChainEvent]) -> list[ChainEvent]:
    return [event for event in events if hasattr(event, "coin")]


def test_the_embedded_node_does_what_custody_asks_of_one(node: RunningNode) -> None:
    check_bitcoin_node(node)


@pytest.mark.skipif(bitcoind() is None, reason="no bitcoind: RINGFENCE_BITCOIND, or make bitcoind")
def test_core_does_the_same(tmp_path: Path) -> None:
    binary = bitcoind()
    assert binary is not None
    core = CoreNode(tmp_path, binary)
    try:
        check_bitcoin_node(core)
    finally:
        core.stop()


# ---- who may call


def test_without_the_cookie_nothing_is_answered(node: RunningNode, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("__cookie__:" + "0" * 64)
    endpoint = node.rpc._endpoint
    with pytest.raises(NodeDeniedError):
        BitcoinRpc(endpoint._replace(cookie=wrong)).block_count()
    with pytest.raises(NodeAwayError, match="cookie"):
        BitcoinRpc(endpoint._replace(cookie=tmp_path / "none")).block_count()
    assert (tmp_path / "bitcoin" / ".cookie").stat().st_mode & 0o77 == 0


def test_a_node_that_is_not_there_is_away(tmp_path: Path) -> None:
    with pytest.raises(NodeAwayError):
        BitcoinRpc(Endpoint("127.0.0.1", 1, user="u", password="p")).block_count()


def test_odd_parameters_are_refused_and_the_node_goes_on(node: RunningNode) -> None:
    for method, params in (
        ("getblockhash", ["x"]), ("getblockhash", []), ("getblock", [7]), ("sendrawtransaction", ["zz"]),
        ("generatetoaddress", [1, "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"]), ("generatetoaddress", [10**9, NOBODY]),
        ("gettxout", [None, {}]), ("scantxoutset", ["start", ["tr(x)"]]), ("estimatesmartfee", [0]),
        ("generatefork", [7, NOBODY]), ("submitblock", ["00"]), ("gettxspendingprevout", [[1]]),
    ):  # fmt: skip
        with pytest.raises(NodeRefusedError):
            node.rpc.call(method, *params)
    assert node.rpc.block_count() == 0


def test_a_second_node_in_the_same_folder_does_not_start(node: RunningNode, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="in use by another node"):
        RunningNode(tmp_path)


# ---- killed


@pytest.mark.slow
def test_killed_at_any_moment_it_has_every_block_and_transaction_that_it_has_told_of(tmp_path: Path) -> None:
    seed = 7
    rng = random.Random(seed)
    node = RunningNode(tmp_path)
    coins = funded(node.rpc, BOTH, Owner.COMPANY, 8)
    for coin in coins:
        told_height, told = node.rpc.block_count(), node.rpc.mempool()
        transaction = paid(coin)
        if rng.random() < 0.7:
            node.rpc.send(transaction.raw)
            told.add(transaction.txid)
        if rng.random() < 0.5:
            node.rpc.generate(rng.randrange(1, 4), NOBODY)
            told_height, told = node.rpc.block_count(), set()
        tip = node.rpc.block_hash(told_height)
        if rng.random() < 0.5:
            _kill_while_mining(node, rng)
        else:
            node.kill()
        node.start()
        assert node.rpc.block_hash(told_height) == tip
        assert node.rpc.block_count() >= told_height
        if node.rpc.block_count() == told_height:
            assert node.rpc.mempool() == told
        scripts = [coin.coin.script for coin in coins]
        assert node.rpc.scan(scripts).tip == node.rpc.chain_info().tip
    node.kill()


def _kill_while_mining(node: RunningNode, rng: random.Random) -> None:
    """Ask for many blocks and kill the node before it answers."""
    impatient = BitcoinRpc(node.rpc._endpoint, timeout_s=rng.random() * 0.1 + 0.005)
    with pytest.raises(NodeAwayError):
        impatient.generate(2000, NOBODY)
    node.kill()


def test_the_kernel_is_opened_anew_after_many_blocks_and_has_them(node: RunningNode) -> None:
    node.rpc.generate(RECYCLE_BLOCKS + 7, NOBODY)
    tip = node.rpc.chain_info().tip
    assert node.stop() == 0
    node.start()
    assert node.rpc.chain_info().tip == tip
    assert "0 blocks fed again" in (node.directory / "node.log").read_text().splitlines()[-1]


def test_a_damaged_journal_is_said_and_not_cut(node: RunningNode) -> None:
    node.rpc.generate(5, NOBODY)
    node.kill()
    path = node.directory / "bitcoin" / "blocks.journal"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(AssertionError, match="is damaged"):
        node.start()
    assert path.read_bytes() == content
    content[len(content) // 2] ^= 1
    path.write_bytes(content[:-3])
    node.start()
    assert node.rpc.block_count() == 4


# ---- followed


def test_a_deposit_is_seen_then_confirmed_block_by_block(node: RunningNode) -> None:
    (coin,) = funded(node.rpc, BOTH, Owner.COMPANY, 1)
    watch = watch_of(node.rpc)
    transaction = paid(coin)
    deposit = deposit_of(transaction)
    node.rpc.send(transaction.raw)
    assert watch.poll() == [Seen(deposit)]
    assert watch.poll() == []
    assert watch.follower.coins() == []
    height = node.rpc.block_count() + 1
    for confirmations in range(1, 7):
        node.rpc.generate(1, NOBODY)
        assert of_coins(watch.poll()) == [Confirmed(deposit, height, confirmations)]
    node.rpc.generate(1, NOBODY)
    assert of_coins(watch.poll()) == []
    assert watch.follower.coins(7) == [deposit]
    assert watch.follower.coins(8) == []


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_a_deposit_that_leaves_the_chain_is_told_and_told_again_when_it_is_back(
    node: RunningNode, depth: int
) -> None:
    (coin,) = funded(node.rpc, BOTH, Owner.COMPANY, 1)
    watch = watch_of(node.rpc)
    transaction = paid(coin)
    deposit = deposit_of(transaction)
    node.rpc.send(transaction.raw)
    node.rpc.generate(depth, NOBODY)
    watch.poll()
    height = node.rpc.block_count() - depth + 1
    node.reorganise(depth)
    events = watch.poll()
    assert sum(isinstance(event, BlockLeft) for event in events) == depth
    assert of_coins(events) == [Reorged(deposit, height), Seen(deposit)]
    assert watch.follower.coins() == []
    node.rpc.generate(1, NOBODY)
    assert of_coins(watch.poll()) == [Confirmed(deposit, node.rpc.block_count(), 1)]


def test_a_deposit_that_a_double_spend_takes_back_is_replaced(node: RunningNode) -> None:
    (coin,) = funded(node.rpc, BOTH, Owner.COMPANY, 1)
    watch = watch_of(node.rpc)
    transaction, rival = paid(coin), paid(coin, to=b"\x00\x14" + b"\x99" * 20)
    node.rpc.send(transaction.raw)
    node.rpc.generate(2, NOBODY)
    watch.poll()
    height = node.rpc.block_count() - 1
    node.reorganise(2, [rival.raw])
    deposit = deposit_of(transaction)
    assert of_coins(watch.poll()) == [Reorged(deposit, height), Replaced(deposit, rival.txid)]
    assert watch.follower.confirmed_sats() == 0


def test_a_deposit_that_is_replaced_in_the_mempool_never_counted(node: RunningNode) -> None:
    (coin,) = funded(node.rpc, BOTH, Owner.COMPANY, 1)
    watch = watch_of(node.rpc)
    first = paid(coin)
    node.rpc.send(first.raw)
    watch.poll()
    rival = paid(coin, rate=9000, to=b"\x00\x14" + b"\x99" * 20)
    node.rpc.send(rival.raw)
    assert watch.poll() == [Replaced(deposit_of(first), rival.txid)]
    better = paid(coin, rate=20_000)
    node.rpc.send(better.raw)
    assert watch.poll() == [Seen(deposit_of(better))]


def test_a_follower_forgets_what_the_mempool_forgets(node: RunningNode) -> None:
    """A coinbase that leaves the chain waits nowhere, and nobody spends what it spent."""
    watch = watch_of(node.rpc)
    node.rpc.generate(1, BOTH.derivers[Owner.CLIENTS].address(DEPOSIT))
    (confirmed,) = of_coins(watch.poll())
    assert isinstance(confirmed, Confirmed)
    node.reorganise(1)
    assert of_coins(watch.poll()) == [Reorged(confirmed.coin, 1), Evicted(confirmed.coin)]


def test_our_own_payment_is_followed_from_the_mempool_into_a_block_and_out_of_it(node: RunningNode) -> None:
    watch = watch_of(node.rpc)
    (coin,) = funded(node.rpc, BOTH, Owner.CLIENTS, 1)
    watch.poll()
    (ours,) = watch.follower.coins()
    unsigned = build(
        BOTH, Owner.CLIENTS, [coin], [Payment(b"\x00\x14" + b"\x88" * 20, 1_000_000)],
        fee_rate_sats_per_kvb=3000, change_index=0,
    )  # fmt: skip
    signed = OURS.spend(BOTH, unsigned.psbt, [coin], (0, 2, 4))
    node.rpc.send(signed.raw)
    events = watch.poll()
    change = next(event for event in events if isinstance(event, Seen)).coin
    assert events == [Spent(ours, signed.txid, None), Seen(change)]
    assert watch.follower.coins() == []
    node.rpc.generate(1, NOBODY)
    height = node.rpc.block_count()
    assert of_coins(watch.poll()) == [
        Spent(ours, signed.txid, height), Confirmed(ours, height - 1, 2), Confirmed(change, height, 1),
    ]  # fmt: skip
    node.reorganise(1)
    assert of_coins(watch.poll()) == [
        Unspent(ours, signed.txid), Reorged(change, height),
        Confirmed(ours, height - 1, 2), Confirmed(ours, height - 1, 3),
        Spent(ours, signed.txid, None), Seen(change),
    ]  # fmt: skip


def test_a_follower_that_was_written_down_goes_on_where_it_was(node: RunningNode) -> None:
    (coin,) = funded(node.rpc, BOTH, Owner.COMPANY, 1)
    watch = watch_of(node.rpc)
    transaction = paid(coin)
    node.rpc.send(transaction.raw)
    watch.poll()
    again = Watch(node.rpc, Follower.load(watch.follower.dump(), is_deposit), chain="regtest")
    assert again.poll() == []
    node.rpc.generate(2, NOBODY)
    assert again.poll() == watch.poll()
    again = Watch(node.rpc, Follower.load(watch.follower.dump(), is_deposit), chain="regtest")
    node.reorganise(2)
    assert again.poll() == watch.poll()


def test_a_node_that_is_behind_takes_nothing_back(node: RunningNode, tmp_path: Path) -> None:
    node.rpc.generate(9, NOBODY)
    watch = watch_of(node.rpc)
    (tmp_path / "other").mkdir()
    other = RunningNode(tmp_path / "other")
    other.rpc.generate(5, NOBODY)
    behind = Watch(other.rpc, watch.follower, chain="regtest")
    with pytest.raises(NodeBehindError, match="at 5, we have seen 9"):
        behind.poll()
    with pytest.raises(WrongChainError):
        Watch(other.rpc, watch.follower, chain="main").poll()
    other.kill()
    assert watch.poll() == []


# ---- rules that only a chain has


def test_recovery_waits_for_its_blocks_in_the_chain(node: RunningNode) -> None:
    (coin,) = funded(node.rpc, BOTH, Owner.COMPANY, 1)
    made = paid(coin)
    node.rpc.send(made.raw)
    node.rpc.generate(1, NOBODY)
    deposit = Funds(deposit_of(made), made.raw)
    unsigned = build(
        BOTH, Owner.CLIENTS, [deposit], [Payment(b"\x00\x14" + b"\x88" * 20, 1_000_000)],
        fee_rate_sats_per_kvb=3000, change_index=0, recovery=True,
    )  # fmt: skip
    signed = OURS.spend(BOTH, unsigned.psbt, [deposit], (5, 7, 9), recovery=True)
    for _ in range(7):
        with pytest.raises(RejectedError, match="non-BIP68-final"):
            node.rpc.send(signed.raw)
        with pytest.raises(NodeRefusedError, match="bad-txns-nonfinal"):
            node.rpc.generate_block(NOBODY, [signed.raw])
        node.rpc.generate(1, NOBODY)
    node.rpc.send(signed.raw)
    (digest,) = node.rpc.generate(1, NOBODY)
    assert signed in node.rpc.block(digest).transactions


def test_blocks_that_break_the_rules_never_move_the_tip(node: RunningNode) -> None:
    """process_block() says "new" to them: asked is what the kernel says and where the chain stands."""
    (coin,) = funded(node.rpc, BOTH, Owner.COMPANY, 1)
    (young,) = node.rpc.generate(1, ADDRESS)
    good = paid(coin)
    tip = node.rpc.chain_info().tip
    bad_signature = bytearray(good.raw)
    bad_signature[-250] ^= 1
    inflated = good.raw.replace((5_000_000).to_bytes(8, "little"), (6_000_000_000).to_bytes(8, "little"))
    made = node.rpc.block(young).transactions[0]
    immature = spend([Coin(Outpoint(made.txid, 0), *made.outputs[0])], [])
    for raw, reason in (
        (bytes(bad_signature), "block-script-verify-flag-failed"),
        (inflated, "bad-txns-in-belowout"),
        (immature.raw, "bad-txns-premature-spend-of-coinbase"),
    ):
        with pytest.raises(NodeRefusedError, match=reason):
            node.rpc.generate_block(NOBODY, [raw])
        assert node.rpc.chain_info().tip == tip
    node.rpc.generate_block(NOBODY, [good.raw])
    spent_already = paid(coin, to=b"\x00\x14" + b"\x99" * 20)
    with pytest.raises(NodeRefusedError, match="bad-txns-inputs-missingorspent"):
        node.rpc.generate_block(NOBODY, [spent_already.raw])
    assert parse_transaction(good.raw) == good


def test_estimates_come_with_experience(node: RunningNode) -> None:
    coins = funded(node.rpc, BOTH, Owner.COMPANY, 10)
    assert node.rpc.fee_rate_sats_per_kvb(6) is None
    for coin in coins:
        node.rpc.send(paid(coin, rate=4000).raw)
    node.rpc.generate(1, NOBODY)
    assert node.rpc.fee_rate_sats_per_kvb(6) in range(4000, 4200)


def test_many_calls_a_second(node: RunningNode) -> None:
    began = time.monotonic()
    for _ in range(200):
        node.rpc.block_count()
    assert time.monotonic() - began < 5
