"""Proof of control: signed for this list, this snapshot and this block, by these keys, or refused by name."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.hashes import canonical
from ringfence.assurance.proofs.reserves import check_control, check_listing, coins_of, sample, wanted
from ringfence.assurance.proofs.reserves.control import DRAWS, LATER_MAX, Coin, Control, UncoveredRow
from ringfence.assurance.proofs.reserves.transaction import is_strict_der, to_spend_id
from ringfence.custody.chains.bitcoin.transactions import double_sha256
from ringfence.custody.hsm.token import der
from ringfence.custody.quorum.attestation import to_spend
from ringfence.testing.reserves import Treasure
from tests.proofs.mutations import mutated

TREASURE = Treasure()
LIST, RAW, _ = TREASURE.made()
CHECKED = check_listing(LIST)
MANY = Treasure(scripts=40, coins=3, with_accounts=False)
Json = dict[str, Any]


def changed(change: Callable[[Json], object], raw: bytes = RAW) -> bytes:
    said = json.loads(raw)
    change(said)
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def refused(raw: bytes, words: str, **known: Any) -> None:
    with pytest.raises(ForgedError, match=words):
        check_control(raw, CHECKED, LIST, **known)


def test_a_true_proof_is_one() -> None:
    found = check_control(RAW, CHECKED, LIST)
    assert [(one.asset, one.of) for one in found.control.proofs] == [
        ("XBt", "scripts"), ("XBt", "hot"), ("Gwei", "ethereum"), ("USDt", "ethereum"), ("LAMPORT", "solana")
    ]  # fmt: skip
    assert (len(found.drawn), found.of, found.uncovered) == (6, 6, ())
    assert found.value == sum(one.amount for one in coins_of(CHECKED))


@pytest.mark.parametrize("headers", [1, 2, LATER_MAX])
def test_the_block_may_be_a_few_after_the_lists(headers: int) -> None:
    check_control(TREASURE.control(LIST, headers=headers), CHECKED, LIST)


def test_a_block_that_one_could_wait_for_is_refused() -> None:
    refused(TREASURE.control(LIST, headers=LATER_MAX + 1), "the list is of 100")
    refused(TREASURE.control(LIST, headers=0), "the list is of 100")


FORGERIES: dict[str, tuple[Callable[[Json], object], str]] = {
    "another format": (lambda s: s.update(format="ringfence control 2"), "the format is"),
    "another exchange": (lambda s: s.update(venue="cd" * 32), "of another exchange or snapshot"),
    "another snapshot": (lambda s: s.update(snapshot=8), "of another exchange or snapshot"),
    "another list": (lambda s: s.update(reserves="11" * 32), "is for another list"),
    "a root less": (lambda s: s["snapshotRoots"].pop("XBt"), "are not of the assets"),
    "another root": (lambda s: s["snapshotRoots"].update(XBt="11" * 32), r"proofs\[0\], scripts for XBt: .*is not the"),
    "another root of ether": (
        lambda s: s["snapshotRoots"].update(Gwei="11" * 32), r"proofs\[2\], ethereum for Gwei: .* has signed|no key",
    ),
    "another root of SOL": (
        lambda s: s["snapshotRoots"].update(LAMPORT="11" * 32),
        r"proofs\[4\], solana for LAMPORT: .* not that of the key",
    ),
    "another block": (lambda s: s["block"].update(hash="11" * 32), "the headers lead to block"),
    "another height": (lambda s: s["block"].update(height=102), "block 102 with 1 headers"),
    "no headers": (lambda s: s["block"].update(headers=[]), "with 0 headers"),
    "a header of another chain": (
        lambda s: s["block"].update(headers=[s["block"]["headers"][0][:8] + "11" * 32 + s["block"]["headers"][0][72:]]),
        "does not follow the block before",
    ),
    "a header cut short": (lambda s: s["block"].update(headers=[s["block"]["headers"][0][:-2]]), "does not follow"),
    "a proof less": (lambda s: s["proofs"].pop(0), "neither shown nor named as missing: XBt scripts 0"),
    "a proof twice": (lambda s: s["proofs"].append(s["proofs"][0]), "shown or denied twice"),
    "a proof of what is not listed": (lambda s: s["proofs"][4].update(key=1), "not in the list: LAMPORT solana 1"),
    "a key shown and denied": (
        lambda s: s["uncovered"].append({"asset": "XBt", "of": "hot", "key": 0, "because": "we forgot"}),
        "denied twice",
    ),
    "another form": (lambda s: s["proofs"][0].update(form="eip191"), "do not sign by eip191"),
    "another speaker": (lambda s: s["proofs"][0].update(address=s["proofs"][1]["address"]), "has to speak"),
    "another speaker for ether": (lambda s: s["proofs"][2].update(address="0x" + "11" * 20), "has to speak"),
    "one asset's signature for another": (
        lambda s: s["proofs"][3].update(proof=s["proofs"][2]["proof"]), r"proofs\[3\], ethereum for USDt",
    ),
    "the hot wallet's for the vault's": (
        lambda s: s["proofs"][0].update(proof=s["proofs"][1]["proof"]), "is not the one",
    ),
    "an empty signature": (lambda s: s["proofs"][4].update(proof=""), "not that of the key"),
    "no recovery id": (lambda s: s["proofs"][2].update(proof=s["proofs"][2]["proof"][:-2]), "not r|s|v"),
    "another recovery id": (lambda s: s["proofs"][2].update(proof=s["proofs"][2]["proof"][:-2] + "1d"), "not r|s|v"),
    "s in the upper half": (lambda s: s["proofs"][2].update(proof=upper(s["proofs"][2]["proof"])), "in its lower half"),
    "bytes behind": (lambda s: s["proofs"][0].update(proof=s["proofs"][0]["proof"] + "00"), "XBt"),
}  # fmt: skip


def upper(proof: str) -> str:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    flipped = order - int(proof[64:128], 16)
    return proof[:64] + f"{flipped:064x}" + ("1c" if proof[128:] == "1b" else "1b")


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_named(name: str) -> None:
    change, words = FORGERIES[name]
    refused(changed(change), words)


def test_a_root_that_was_published_otherwise_is_refused() -> None:
    roots = json.loads(RAW)["snapshotRoots"]
    check_control(RAW, CHECKED, LIST, snapshot_roots=roots)
    refused(RAW, "the published one is", snapshot_roots={**roots, "USDt": "11" * 32})


def test_what_is_named_as_not_covered_is_said() -> None:
    said = msgspec.json.decode(RAW, type=Control)
    missing = UncoveredRow(asset="XBt", of=said.proofs[0].of, key=0, because="ops-1: does not answer")
    raw = canonical(msgspec.structs.replace(said, proofs=said.proofs[1:], uncovered=(missing,)))
    found = check_control(raw, CHECKED, LIST)
    assert (found.drawn, found.value) == ((), 0)
    assert found.uncovered == ("XBt, scripts 0: ops-1: does not answer",)


# ---- the draw


def test_of_many_coins_a_block_draws_and_no_other_are_signed_for() -> None:
    listed = MANY.reserves()
    checked = check_listing(listed)
    raw = MANY.control(listed)
    found = check_control(raw, checked, listed)
    assert found.of == 120
    assert 20 < len(found.drawn) <= DRAWS
    other = MANY.control(listed, headers=2)
    assert check_control(other, checked, listed).drawn != found.drawn
    swapped = changed(lambda s: s["proofs"][0].update(proof=json.loads(other)["proofs"][0]["proof"]), raw)
    with pytest.raises(ForgedError, match="is not the one of this message and these coins"):
        check_control(swapped, checked, listed)


@given(
    st.lists(st.integers(0, 10**15), min_size=DRAWS + 1, max_size=200), st.binary(min_size=32, max_size=32)
)
@settings(max_examples=60)
def test_a_draw_follows_from_the_block_and_never_chooses_what_is_worth_nothing(
    amounts: list[int], seed: bytes
) -> None:
    coins = [Coin(f"{n:064x}:0", amount, b"") for n, amount in enumerate(amounts)]
    drawn = sample(coins, seed.hex())
    assert drawn == sample(coins, seed.hex())
    assert 1 <= len(drawn) <= DRAWS
    assert len(set(drawn)) == len(drawn)
    if sum(amounts):
        assert all(one.amount for one in drawn)


def test_a_draw_is_by_value() -> None:
    """A coin of half of all the value is drawn by practically every block; the share of draws is that of the value."""
    coins = [Coin(f"{n:064x}:0", 10**6, b"") for n in range(1_000)] + [Coin("ff" * 32 + ":0", 10**9, b"")]
    small = 0
    for number in range(50):
        drawn = sample(coins, hashlib.sha256(bytes([number])).hexdigest())
        assert coins[-1] in drawn
        small += len(drawn) - 1
    assert (
        26 < small / 50 < 37
    )  # 32 of 64 draws are expected to be for small ones, of which few are drawn twice


def test_nothing_is_wanted_of_what_is_not_there() -> None:
    bare = Treasure(scripts=0, hot_coins=0, with_accounts=False)
    listed = bare.reserves()
    checked = check_listing(listed)
    assert wanted(checked, sample(coins_of(checked), "11" * 32)) == []
    check_control(bare.control(listed), checked, listed)


# ---- bytes


def test_the_message_is_in_the_transaction_that_bip322_says() -> None:
    """The example of the BIP: the empty message and `Hello World` for one P2WPKH script."""
    script = bytes.fromhex("00142b05d564e6a7a33c087f16e0f730d1440123799d")
    for message, txid in (
        ("", "c5680aa69bb8d860bf82d4e9cd3504b55dde018de765a91bb566283c545a99a7"),
        ("Hello World", "b79d196740ad5217771c1098fc4a4b51e0535c32236c71f1ea4d61a2d603352b"),
    ):
        assert to_spend_id(message, script)[::-1].hex() == txid
        assert double_sha256(to_spend(message, script)) == to_spend_id(message, script)


@given(st.integers(1, 2**256 - 1), st.integers(1, 2**255))
def test_signatures_have_one_spelling(r: int, s: int) -> None:
    raw = der(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    assert is_strict_der(raw) == (s <= 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0)
    for wrong in (raw + b"\0", raw[:-1], b"\x31" + raw[1:], raw[:3] + b"\x25" + raw[4:], b"", b"\x30\0"):
        assert not is_strict_der(wrong)


@settings(max_examples=900, deadline=None)
@given(st.data())
def test_no_changed_byte_is_accepted(data: st.DataObject) -> None:
    """But for the names of co-signers, of which signatures say nothing."""
    raw = mutated(
        data, RAW, digits=b"0123456789abcdef", swap=lambda _: data.draw(st.sampled_from(b"0123456789abcdef"))
    )
    try:
        check_control(raw, CHECKED, LIST)
    except ForgedError:
        return
    said, true = json.loads(raw), json.loads(RAW)
    for one in (said, true):
        for row in one["proofs"]:
            row["signers"] = []
    assert said == true
