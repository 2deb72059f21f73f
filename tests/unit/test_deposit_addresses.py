"""Deposit addresses: whoever gives them out and whoever verifies them derive them apart, and come to the same."""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from embit import bip32
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.custody.annex import Annex, AnnexAsset
from ringfence.custody.chains.accounts import AccountRoom
from ringfence.custody.chains.ethereum.room import ACCOUNTS_AHEAD, EthereumRoom
from ringfence.custody.chains.ethereum.rpc import EthereumRpc
from ringfence.custody.chains.solana import room as solana_room
from ringfence.custody.chains.solana.room import SolanaRoom
from ringfence.custody.chains.solana.rpc import SolanaRpc
from ringfence.custody.demonstration import FIRST_POLICY
from ringfence.custody.wallets.derivation import CHILD_MAX
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner
from ringfence.daemons.addresses import Verifier, address_again, address_digest
from ringfence.testing.bitcoin import Signers, wallets_of

NOWHERE = "http://127.0.0.1:9"
ROOT = bip32.HDKey.from_seed(bytes(range(32)))
ECDSA, CHAIN_CODE = ROOT.get_public_key().sec(), ROOT.chain_code
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
ACCOUNTS = range(1, 301)


def annex_of(chain: str, public_key: bytes, chain_code: bytes, *currencies: str) -> Annex:
    assets = tuple(AnnexAsset(currency, "", 1, FIRST_POLICY) for currency in currencies)
    return Annex(chain, "key", public_key.hex(), chain_code.hex(), 4, assets, 0, "")


ETHEREUM = annex_of("eip155:1", ECDSA, CHAIN_CODE, "Gwei", "USDt")
SOLANA = annex_of("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", ED25519, b"", "LAMPORT")


def ethereum() -> AccountRoom:
    return EthereumRoom(
        EthereumRpc(NOWHERE), chain_id=1, public_key=ECDSA, chain_code=CHAIN_CODE, tokens={}, native="Gwei"
    )


def solana() -> AccountRoom:
    return SolanaRoom(SolanaRpc(NOWHERE), public_key=ED25519, native="LAMPORT")


BOTH = pytest.mark.parametrize(
    ("make", "annex"), [(ethereum, ETHEREUM), (solana, SOLANA)], ids=["ethereum", "solana"]
)
Make = Callable[[], AccountRoom]


# ---- who gives them out


@BOTH
def test_the_verifier_derives_the_address_that_is_given_out(make: Make, annex: Annex) -> None:
    room = make()
    for account in ACCOUNTS:
        assert address_again(annex, account) == room.deposit_address(account)


@BOTH
def test_numbers_and_addresses_belong_to_each_other(make: Make, annex: Annex) -> None:
    room = make()
    room.know(ACCOUNTS.stop)
    addresses = [room.treasury, *map(room.deposit_address, ACCOUNTS)]
    assert [room.number_of(address) for address in addresses] == list(range(ACCOUNTS.stop))
    assert len(set(addresses)) == ACCOUNTS.stop
    assert all(map(room.is_address, addresses))
    for stranger in ("", "somebody", addresses[1][:-1], addresses[1] + "1", addresses[1].swapcase()):
        assert room.number_of(stranger) is None


@BOTH
def test_knowing_more_accounts_changes_none(make: Make, annex: Annex) -> None:
    room, other = make(), make()
    first = [room.treasury, *(room.deposit_address(account) for account in range(1, 20))]
    far = address_again(annex, ACCOUNTS_AHEAD + 30)
    assert ACCOUNTS_AHEAD == solana_room.ACCOUNTS_AHEAD
    assert room.number_of(far) is None
    for end in (0, 10, 10, 31, 5, 31):
        room.know(end)
        assert [room.treasury, *(room.deposit_address(account) for account in range(1, 20))] == first
    assert room.number_of(far) == ACCOUNTS_AHEAD + 30
    # It is the same whether accounts were known one by one, all at once, or because one was asked for.
    other.deposit_address(31)
    assert other.number_of(far) == ACCOUNTS_AHEAD + 30
    assert other.treasury == first[0]


def test_ethereum_addresses_are_those_of_the_private_keys_below_the_shared_one() -> None:
    """A third opinion, from the private side, which in custody nobody has."""
    room = ethereum()
    for account in (0, 1, 2, 77, 255, 256, 300):
        private = ROOT.derive([1, account]).key
        address = room.deposit_address(account) if account else room.treasury
        assert Account.from_key(private.secret).address == address


def test_solana_addresses_are_derived_from_the_treasury() -> None:
    """A third opinion: the point, the seed's text and the system program's 32 zeros, hashed."""
    room = solana()
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

    def raw_of(text: str) -> bytes:
        number = 0
        for sign in text:
            number = number * 58 + alphabet.index(sign)
        return number.to_bytes(32, "big")

    assert raw_of(room.treasury) == ED25519
    for account in (1, 2, 77, 255, 256, 300):
        seeds = [str(account), *(f"{account}.{turn}" for turn in range(1, 60))]
        possible = [hashlib.sha256(ED25519 + seed.encode() + bytes(32)).digest() for seed in seeds]
        assert raw_of(room.deposit_address(account)) in possible


@BOTH
def test_another_key_has_other_addresses(make: Make, annex: Annex) -> None:
    key = ROOT.derive([9]).get_public_key().sec() if annex is ETHEREUM else bytes(range(1, 33))
    others = [msgspec.structs.replace(annex, public_key=key.hex())]
    if annex is ETHEREUM:
        others.append(msgspec.structs.replace(annex, chain_code="11" * 32))
    room = make()
    for account in range(1, 30):
        derived = {address_again(one, account) for one in (annex, *others)}
        assert len(derived) == 1 + len(others)
        assert [one for one in derived if room.number_of(one) is not None] == [room.deposit_address(account)]


@pytest.mark.parametrize(
    "chain", ["", "eip155", "eip155x:1", "bip122:000000000019d6689c085ae165831e93", "Solana:x"]
)
def test_no_address_is_derived_on_a_chain_that_is_not_known(chain: str) -> None:
    annex = msgspec.structs.replace(ETHEREUM, chain=chain)
    if chain == "eip155":  # the namespace is what counts
        assert address_again(annex, 1) == address_again(ETHEREUM, 1)
        return
    with pytest.raises(ValueError, match="are not known here"):
        address_again(annex, 1)


# ---- who verifies them

KEY = PrivateKey(b"\x07" * 32)
WALLETS = wallets_of({Owner.CLIENTS: Signers()}, lookahead=0)
ROOMS = {"Gwei": ethereum(), "USDt": ethereum(), "LAMPORT": solana()}


def verifier(*annexes: Annex) -> Verifier:
    return Verifier(WALLETS, KEY, lambda: list(annexes))


def bitcoin_address(number: int) -> str:
    deriver = WALLETS.derivers[Owner.CLIENTS]
    return deriver.address(deriver.script(Keychain.RECEIVE, number))


def ask(asked: Verifier, account: Any, asset: Any, number: Any, address: Any) -> dict[str, Any]:
    question = {"account": account, "asset": asset, "number": number, "address": address}
    return asked.answer(msgspec.json.encode(question))


def is_signed(answer: dict[str, Any], account: int, asset: str, address: str) -> bool:
    raw = bytes.fromhex(answer.get("signature", ""))
    if len(raw) != 64:
        return False
    digest = address_digest(account, asset, address)
    found = [
        PublicKey.from_signature_and_message(raw + bytes((turn,)), digest, hasher=None) for turn in (0, 1)
    ]
    return KEY.public_key in found


@pytest.mark.parametrize("asset", ROOMS)
def test_the_right_address_is_signed_and_for_that_account_alone(asset: str) -> None:
    for account in (1, 2, 300):
        address = ROOMS[asset].deposit_address(account)
        answer = ask(verifier(ETHEREUM, SOLANA), account, asset, account, address)
        assert is_signed(answer, account, asset, address)
        assert not is_signed(answer, account + 1, asset, address)
        assert not is_signed(answer, account, asset, ROOMS[asset].deposit_address(account + 1))


def test_a_bitcoin_address_is_signed_at_its_number_whose_account_it_is_given_to() -> None:
    for account, number in ((7, 0), (7, 5), (900, 23)):
        answer = ask(verifier(), account, "XBt", number, bitcoin_address(number))
        assert is_signed(answer, account, "XBt", bitcoin_address(number))


@pytest.mark.parametrize("asset", ROOMS)
def test_any_other_address_is_not_signed(asset: str) -> None:
    room, asked = ROOMS[asset], verifier(ETHEREUM, SOLANA)
    right = room.deposit_address(5)
    strangers = (room.deposit_address(6), room.treasury, right.lower(), right + " ", "", bitcoin_address(5))
    for address in strangers:
        answer = ask(asked, 5, asset, 5, address)
        assert set(answer) == {"error"}
        assert "show it to nobody" in answer["error"]
    for account, number in ((6, 5), (5, 6), (0, 0), (-1, -1), (5, -5)):
        assert set(ask(asked, account, asset, number, right)) == {"error"}
    assert set(ask(asked, 0, asset, 0, room.treasury)) == {"error"}  # nobody's account is the treasury's


@pytest.mark.parametrize(("number", "address"), [(1, 0), (0, 1), (24, 0), (-1, 23), (-24, 0), (10**30, 0)])
def test_a_bitcoin_address_of_another_number_is_not_signed(number: int, address: int) -> None:
    assert set(ask(verifier(), 7, "XBt", number, bitcoin_address(address))) == {"error"}


@pytest.mark.parametrize("asset", ["LAMPORT", "Litoshi", "gwei", "", "XBT"])
def test_an_asset_that_no_annex_names_has_no_address(asset: str) -> None:
    address = ROOMS["Gwei"].deposit_address(5)
    answer = ask(verifier(ETHEREUM), 5, asset, 5, address)
    assert answer == {"error": f"no such address: no annex names {asset}"}


def test_one_chains_address_is_not_anothers() -> None:
    asked = verifier(ETHEREUM, SOLANA)
    assert set(ask(asked, 5, "LAMPORT", 5, ROOMS["Gwei"].deposit_address(5))) == {"error"}
    assert set(ask(asked, 5, "Gwei", 5, ROOMS["LAMPORT"].deposit_address(5))) == {"error"}
    elsewhere = verifier(msgspec.structs.replace(ETHEREUM, chain="bip122:1"))
    assert set(ask(elsewhere, 5, "Gwei", 5, ROOMS["Gwei"].deposit_address(5))) == {"error"}


def test_an_annex_of_today_is_asked_about_today() -> None:
    annexes: list[Annex] = []
    asked = Verifier(WALLETS, KEY, lambda: annexes)
    address = ROOMS["Gwei"].deposit_address(5)
    assert set(ask(asked, 5, "Gwei", 5, address)) == {"error"}
    annexes.append(ETHEREUM)
    assert is_signed(ask(asked, 5, "Gwei", 5, address), 5, "Gwei", address)


@pytest.mark.parametrize("account", [CHILD_MAX + 1, 2**32, 2**63, 10**18, 10**40])
@pytest.mark.parametrize("asset", ROOMS)
def test_an_account_that_nobody_can_have_has_no_address(asset: str, account: int) -> None:
    """On Ethereum there is no such key; on Solana a seed has at most 32 bytes, and coins sent to more are lost."""
    assert set(ask(verifier(ETHEREUM, SOLANA), account, asset, account, "")) == {"error"}
    again = {"Gwei": ETHEREUM, "USDt": ETHEREUM, "LAMPORT": SOLANA}[asset]
    with pytest.raises(ValueError, match="no account"):
        address_again(again, account)


ANY_NUMBER = st.one_of(st.integers(-3, 40), st.integers(), st.sampled_from([2**31, 2**63, 2**64, 10**40]))
ANY_QUESTION = st.fixed_dictionaries(
    {
        "account": ANY_NUMBER,
        "asset": st.sampled_from(["XBt", "Gwei", "USDt", "LAMPORT", ""]),
        "address": st.text(max_size=40),
    },
    optional={"number": st.one_of(ANY_NUMBER, st.none(), st.text(max_size=2))},
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=60), ANY_QUESTION))
def test_whatever_is_asked_there_is_an_answer_and_no_signature_of_nonsense(
    asked: bytes | dict[str, Any],
) -> None:
    line = asked if isinstance(asked, bytes) else msgspec.json.encode({"number": asked["account"], **asked})
    assert set(verifier(ETHEREUM, SOLANA).answer(line)) == {"error"}
