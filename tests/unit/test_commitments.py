"""The tree, the statements and the chain of roots: what is in them is proven, what is changed is found."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.commitments import (
    ChainError,
    FileAnchor,
    OpenTimestampsAnchor,
    OrderLine,
    PositionLine,
    Proof,
    Root,
    RootChain,
    RootError,
    WalletLine,
    account_statement,
    latest_roots,
    leaf_of,
    load_keys,
    nonce_key,
    proof_of,
    read_roots,
    root_of,
)
from ringfence.commitments.keys import EPOCH_NS
from ringfence.commitments.root import ROOT_BYTES, EventsHash, decode_root
from ringfence.commitments.statement import ORDER_IS_UNTRIGGERED, ORDER_SELLS, read_statement
from ringfence.commitments.statements_file import inclusion_of, write_statements
from ringfence.exchange.engine.records import ORDER_SELL, ORDER_UNTRIGGERED
from ringfence.exchange.sequencer.statements import account_statements
from ringfence.messages.events import Event
from ringfence.messages.records import EVENT
from ringfence.testing.market import Market

HASHES = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70, unique=True)
ZEROS = bytes(32)


# ---- the tree


@given(HASHES, st.data())
def test_every_leaf_has_a_proof_and_no_other_leaf_has_that_one(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    other = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = proof_of(leaves, index), root_of(leaves)
    assert proof.holds(leaves[index], root)
    assert proof.holds(leaves[other], root) == (other == index)


@given(HASHES, st.data())
def test_a_proof_that_is_changed_anywhere_proves_nothing(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = proof_of(leaves, index), root_of(leaves)
    if proof.path:
        at = data.draw(st.integers(0, len(proof.path) - 1))
        changed = tuple(ZEROS if k == at else one for k, one in enumerate(proof.path))
        assert not Proof(index, len(leaves), changed).holds(leaves[index], root)
        assert not Proof(index, len(leaves), proof.path[:-1]).holds(leaves[index], root)
    assert not Proof(index, len(leaves), (*proof.path, ZEROS)).holds(leaves[index], root)
    assert not Proof(len(leaves), len(leaves), proof.path).holds(leaves[index], root)


def test_a_tree_of_more_leaves_never_has_the_root_of_fewer() -> None:
    leaves = [bytes((k,)) * 32 for k in range(40)]
    assert len({root_of(leaves[:count]) for count in range(41)}) == 41


def test_the_same_statement_has_another_leaf_in_another_account_and_in_another_week(tmp_path: Path) -> None:
    keys = load_keys(tmp_path)
    first, second = keys.nonces.epoch_key(0), keys.nonces.epoch_key(EPOCH_NS)
    nonces = {nonce_key(first, 1), nonce_key(first, 2), nonce_key(second, 1)}
    assert len({leaf_of(nonce, b"same") for nonce in nonces}) == 3
    assert keys.nonces.epoch_key(EPOCH_NS - 1) == first


# ---- statements


def test_a_statement_says_what_it_was_made_of() -> None:
    wallets = [WalletLine(0, 5, -7), WalletLine(1, 2**62, 0)]
    positions = [PositionLine(3, 1000, 2, -5, -50, 7)]
    orders = [OrderLine(3, ORDER_SELLS, 0, 2**63 + 5, 4, 1, 100)]
    raw = account_statement(9, 4, wallets, positions, orders)
    assert read_statement(raw) == (9, 4, wallets, positions, orders)
    for broken in (raw[:-1], raw + b"\0", b"", b"X" + raw[1:]):
        with pytest.raises(ValueError, match="statement"):
            read_statement(broken)


def _busy_market() -> Market:
    market = Market()
    market.trade(1, 2, "XBTUSD", 1000, 1000)
    market.trade(3, 1, "ETHUSD", 50, 1000)
    market.leverage(1, "XBTUSD", 10)
    market.order(3, "XBTUSD", 100, 998)
    market.order(3, "XBTUSD", -100, 1010)
    market.order(2, "XBTUSD", -100, stop=900)
    market.order(2, "XBTUSDT", 2000, 999)
    return market


def test_the_statements_say_what_the_engine_has_row_by_row() -> None:
    """The tables are read all at once; here they are read again one record at a time."""
    engine = _busy_market().engine
    state = engine.state
    statements = [read_statement(raw) for raw in account_statements(state)]
    assert [said.account for said in statements] == list(range(1, 8))
    for said in statements:
        margins = [engine.margin(asset, said.account) for asset in range(6)]
        assert said.wallets == [
            (asset, m["wallet"], m["locked"]) for asset, m in enumerate(margins) if m["wallet"] or m["locked"]
        ]
        held = [(symbol, engine.position(said.account, symbol)) for symbol in range(1, 8)]
        assert said.positions == [
            (symbol, p["leverage"], p["tier"], p["qty"], p["cost"], p["transferred"])
            for symbol, p in held if p is not None and (p["qty"] or p["leverage"] or p["tier"] or p["transferred"])
        ]  # fmt: skip
        orders = []
        for slot in range(1, int(state.header["n_orders"])):
            o, t = state.orders[slot], state.triggers[slot]
            if o["leaves"] and state.positions[o["position"]]["account"] == said.account:
                waits = bool(o["flags"] & ORDER_UNTRIGGERED)
                flags = (ORDER_SELLS if o["flags"] & ORDER_SELL else 0) | (
                    ORDER_IS_UNTRIGGERED if waits else 0
                )
                handle = int(o["sequence"]) << 32 | slot
                stop_px = t["stop_px"] if waits else 0
                orders.append((o["symbol"], flags, stop_px, handle, o["leaves"], o["filled"], o["px"]))
        assert said.orders == sorted(orders, key=lambda line: line[3])
    assert sum(len(said.orders) for said in statements) == 4
    assert sum(len(said.positions) for said in statements) == 4


def test_an_account_finds_itself_under_the_root_and_no_other(tmp_path: Path) -> None:
    keys = load_keys(tmp_path)
    statements = list(account_statements(_busy_market().engine.state))
    nonces = [nonce_key(keys.nonces.epoch_key(0), account) for account in range(1, len(statements) + 1)]
    write_statements(tmp_path / "5.statements", nonces, statements)
    found = inclusion_of(tmp_path / "5.statements", 2)
    assert found.statement == statements[1]
    assert found.proof.holds(leaf_of(found.nonce, found.statement), found.accounts_root)
    assert not found.proof.holds(leaf_of(found.nonce, statements[2]), found.accounts_root)
    with pytest.raises(LookupError):
        inclusion_of(tmp_path / "5.statements", 8)
    raw = (tmp_path / "5.statements").read_bytes()
    for cut in (4, 100):
        (tmp_path / "cut.statements").write_bytes(raw[:cut])
        with pytest.raises(ValueError, match="cut"):
            inclusion_of(tmp_path / "cut.statements", 1)


# ---- the chain


def _root(sequence: int) -> Root:
    return Root(
        sequence, sequence * 10**9, sequence * 2, 7, ZEROS, ZEROS, bytes((sequence,)) * 32, ZEROS, ZEROS
    )


def _chain(path: Path, *sequences: int) -> Path:
    chain = RootChain(path / "chain.roots", load_keys(path).signing)
    for sequence in sequences:
        chain.append(_root(sequence))
    chain.close()
    return path / "chain.roots"


def test_a_chain_goes_on_where_it_ended_even_behind_half_a_record(tmp_path: Path) -> None:
    path = _chain(tmp_path, 1, 2)
    with open(path, "ab") as file:
        file.write(b"half")
    _chain(tmp_path, 3)
    key = load_keys(tmp_path).signing.public_key()
    assert [root.sequence for root in read_roots(path, key)] == [1, 2, 3]
    assert [root.sequence for root in latest_roots(path, 2)] == [3, 2]
    assert [root.sequence for root in read_roots(path, key, after=2)] == [3]
    with pytest.raises(ChainError, match="cannot follow"):
        _chain(tmp_path, 3)


def test_every_flipped_byte_of_a_chain_is_found_and_the_record_is_named(tmp_path: Path) -> None:
    path = _chain(tmp_path, 1, 2, 3)
    key = load_keys(tmp_path).signing.public_key()
    raw = path.read_bytes()
    for at in range(len(raw)):
        path.write_bytes(raw[:at] + bytes((raw[at] ^ 0x40,)) + raw[at + 1 :])
        with pytest.raises(ChainError, match=rf"record {at // ROOT_BYTES}\b"):
            list(read_roots(path, key))


def test_a_record_left_out_or_exchanged_is_found(tmp_path: Path) -> None:
    path = _chain(tmp_path, 1, 2, 3)
    key = load_keys(tmp_path).signing.public_key()
    one, two, three = (path.read_bytes()[k * ROOT_BYTES :][:ROOT_BYTES] for k in range(3))
    for broken in (one + three, two + three, one + three + two, one + two + two):
        path.write_bytes(broken)
        with pytest.raises(ChainError, match="does not follow"):
            list(read_roots(path, key))


def test_nobody_else_can_go_on_with_a_chain(tmp_path: Path) -> None:
    path = _chain(tmp_path, 1)
    (tmp_path / "other").mkdir()
    with pytest.raises(RootError, match="no valid signature"):
        RootChain(path, load_keys(tmp_path / "other").signing)


@given(st.binary(max_size=ROOT_BYTES + 3))
def test_other_bytes_are_no_root(raw: bytes) -> None:
    with pytest.raises(RootError):
        decode_root(raw)


def test_a_damaged_key_file_is_refused_and_not_replaced(tmp_path: Path) -> None:
    first = load_keys(tmp_path).public_bytes
    assert load_keys(tmp_path).public_bytes == first
    (tmp_path / "roots" / "signing.key").write_bytes(b"short")
    with pytest.raises(ValueError, match="damaged"):
        load_keys(tmp_path)


def test_the_hash_of_events_leaves_out_the_customers_words_and_nothing_else() -> None:
    def hashed(*rows: tuple[int, int, int]) -> bytes:
        events = np.zeros(len(rows), EVENT)
        for row, (kind, maker_handle, amount) in zip(events, rows, strict=True):
            row["kind"], row["maker_handle"], row["amount"] = kind, maker_handle, amount
        digest = EventsHash(int(Event.AMENDED))
        digest.update(events.tobytes())
        return digest.take()

    amended, trade = int(Event.AMENDED), int(Event.TRADE)
    assert hashed((trade, 1, 1), (amended, 5, 1)) == hashed((trade, 1, 1), (amended, 6, 1))
    assert hashed((trade, 1, 1), (amended, 5, 1)) != hashed((trade, 2, 1), (amended, 5, 1))
    assert hashed((trade, 1, 1), (amended, 5, 1)) != hashed((trade, 1, 1), (amended, 5, 2))


# ---- anchors


def test_a_file_anchor_keeps_every_digest_and_a_calendar_is_asked_over_https_only(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchors")
    assert anchor.submit(ZEROS) == b"0"
    assert anchor.submit(bytes(range(32))) == b"1"
    with pytest.raises(ValueError, match="32 bytes"):
        anchor.submit(b"short")
    with pytest.raises(ValueError, match="no https address"):
        OpenTimestampsAnchor("http://calendar.example")
