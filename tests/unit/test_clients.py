"""What accounts say of their withdrawals: whose word counts, when, and that nothing is said twice."""

from contextlib import suppress
from dataclasses import dataclass

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ringfence.custody.clients import OBJECTION_NS, Clients
from ringfence.messages.funds import (
    AccountText,
    FundsError,
    Keyed,
    Listed,
    Unlisted,
    Wish,
    decode,
    decode_of_account,
    encode,
    to_be_signed,
)

ME, HOME, AWAY = 7, "bcrt1qhome", "bcrt1qaway"
OLD, NEW, THIEF = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3))


def public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def signed(said: Wish | Listed, key: Ed25519PrivateKey, *, account: int = ME) -> Wish | Listed:
    text = to_be_signed(said, account=account, currency="XBt")
    return msgspec.structs.replace(said, signature=key.sign(text).hex())


def keyed(
    key: Ed25519PrivateKey, *, nonce: int, consent: Ed25519PrivateKey | None = None, account: int = ME
) -> Keyed:
    bare = Keyed(public(key), nonce)
    text = to_be_signed(bare, account=account)
    return Keyed(
        public(key), nonce, key.sign(text).hex(), consent.sign(text).hex() if consent is not None else ""
    )


def wish(*, nonce: int, address: str = HOME, amount: int = 5) -> Wish:
    return Wish(address, amount, 1, is_confirmed=True, nonce=nonce)


@dataclass
class Said:
    """Accounts that have said something; time goes by one nanosecond a statement."""

    clients: Clients
    now_ns: int = 0

    def take(self, said: AccountText, *, account: int = ME) -> str:
        self.now_ns += 1
        return self.clients.take(account, said, self.now_ns)

    def pays(self, said: Wish | Listed, *, account: int = ME) -> bool | None:
        assert isinstance(said, Wish)
        return self.clients.wish(account, said, self.now_ns, currency="XBt").is_signed

    def list(self, said: Wish | Listed) -> str:
        assert isinstance(said, Listed)
        return self.take(said)


@pytest.fixture
def said() -> Said:
    """An account whose key is OLD."""
    found = Said(Clients())
    assert found.take(keyed(OLD, nonce=1)) == ""
    return found


def test_without_a_key_nothing_is_asked_for() -> None:
    said = Said(Clients())
    assert said.pays(wish(nonce=0)) is None
    assert said.take(Listed(HOME)) == ""
    assert list(said.clients.of(ME).listed) == [HOME]


def test_with_a_key_a_withdrawal_counts_once_and_as_it_was_signed(said: Said) -> None:
    mine = signed(wish(nonce=5), OLD)
    assert isinstance(mine, Wish)
    for change in ({"address": AWAY}, {"amount": 6}, {"fee_max": 2}, {"nonce": 6}, {"signature": ""}):
        assert said.pays(msgspec.structs.replace(mine, **change)) is False
    assert said.pays(signed(wish(nonce=5), THIEF)) is False
    assert said.pays(mine) is True
    assert said.pays(mine) is False, "the same again"
    assert said.pays(signed(wish(nonce=4), OLD)) is False
    assert said.pays(signed(wish(nonce=6), OLD)) is True


def test_a_signature_is_of_one_account_and_one_currency(said: Said) -> None:
    said.take(keyed(OLD, nonce=1, account=8), account=8)
    mine = signed(wish(nonce=5), OLD)
    assert said.pays(mine, account=8) is False
    assert isinstance(mine, Wish)
    assert said.clients.wish(ME, mine, said.now_ns, currency="USDt").is_signed is False


def test_the_address_book_takes_what_the_key_has_signed_and_drops_what_anybody_says(said: Said) -> None:
    assert "has not" in said.take(Listed(HOME, 2))
    assert "not that of" in said.list(signed(Listed(HOME, 2), THIEF))
    assert said.list(signed(Listed(HOME, 2, name="home"), OLD)) == ""
    assert said.clients.of(ME).listed[HOME].name == "home"
    assert "nonce" in said.list(signed(Listed(AWAY, 2), OLD))
    assert said.take(Unlisted(HOME)) == ""
    assert "nonce" in said.list(signed(Listed(HOME, 2), OLD)), (
        "what was taken out does not come back by itself"
    )
    assert said.clients.of(ME).has_list
    assert not said.clients.of(ME).listed


def test_an_address_is_as_old_as_its_first_listing(said: Said) -> None:
    said.list(signed(Listed(HOME, 2), OLD))
    since = said.clients.of(ME).listed[HOME].since_ns
    said.list(signed(Listed(HOME, 3), OLD))
    assert said.clients.of(ME).listed[HOME].since_ns == since


def test_what_is_said_after_asking_neither_helps_nor_delays(said: Said) -> None:
    """Otherwise a client could hold up the batch that it is in, and with it everybody else."""
    said.list(signed(Listed(HOME, 2), OLD))
    asked = signed(wish(nonce=3), OLD)
    assert isinstance(asked, Wish)
    standing = said.clients.wish(ME, asked, said.now_ns, currency="XBt")
    said.take(Unlisted(HOME))
    said.take(keyed(NEW, nonce=4, consent=OLD))
    assert standing == (True, False, 2, 1)


def test_without_a_list_asking_lists_and_with_one_it_does_not() -> None:
    said = Said(Clients())
    assert said.clients.wish(ME, wish(nonce=0), 77, currency="XBt").listed_since_ns == 77
    said.take(Listed(AWAY))
    assert said.clients.wish(ME, wish(nonce=0), 78, currency="XBt").listed_since_ns is None
    said.take(Unlisted(AWAY))
    assert said.clients.wish(ME, wish(nonce=0), 79, currency="XBt").listed_since_ns is None


def test_a_first_key_is_trusted_after_a_week_and_one_that_is_consented_to_inherits_that(said: Said) -> None:
    """Whoever owns the gateway could name a first key for everybody who has none, and sign with it."""

    def is_trusted(key: Ed25519PrivateKey, nonce: int) -> bool:
        asked = signed(wish(nonce=nonce), key)
        assert isinstance(asked, Wish)
        standing = said.clients.wish(ME, asked, said.now_ns, currency="XBt")
        assert standing.is_signed
        return standing.is_trusted

    assert not is_trusted(OLD, 2)
    said.take(keyed(NEW, nonce=3, consent=OLD))
    assert not is_trusted(NEW, 4), "naming another one at once does not help"
    said.now_ns = OBJECTION_NS
    assert not is_trusted(NEW, 5)
    said.now_ns += 1
    assert is_trusted(NEW, 6)
    said.take(keyed(OLD, nonce=7, consent=NEW))
    assert is_trusted(OLD, 8)


def test_a_key_that_waited_for_objections_has_waited_long_enough(said: Said) -> None:
    said.take(keyed(NEW, nonce=2))
    said.now_ns += OBJECTION_NS
    asked = signed(wish(nonce=3), NEW)
    assert isinstance(asked, Wish)
    assert said.clients.wish(ME, asked, said.now_ns, currency="XBt")[:2] == (True, True)


def test_a_new_key_needs_the_consent_of_the_old_one_or_time(said: Said) -> None:
    assert "new key" in said.take(msgspec.structs.replace(keyed(NEW, nonce=2), signature="00" * 64))
    assert "consent" in said.take(keyed(NEW, nonce=2, consent=THIEF))
    assert said.take(keyed(NEW, nonce=2, consent=OLD)) == ""
    assert said.clients.of(ME).key == public(NEW)
    assert said.pays(signed(wish(nonce=9), OLD)) is False
    assert said.pays(signed(wish(nonce=9), NEW)) is True


def test_a_key_without_consent_waits_and_the_old_one_may_object(said: Said) -> None:
    assert said.take(keyed(THIEF, nonce=2)) == ""
    said.now_ns += OBJECTION_NS - 2
    assert said.clients.of(ME).key_at(said.now_ns) == public(OLD)
    assert said.take(keyed(OLD, nonce=3, consent=OLD)) == ""
    said.now_ns += 2 * OBJECTION_NS
    assert said.clients.of(ME).key_at(said.now_ns) == public(OLD)


def test_a_lost_key_is_replaced_after_the_time_for_objections_and_that_is_a_change(said: Said) -> None:
    said.take(keyed(NEW, nonce=2))
    begun = said.now_ns
    assert said.clients.of(ME).key_at(begun + OBJECTION_NS - 1) == public(OLD)
    assert said.clients.of(ME).key_at(begun + OBJECTION_NS) == public(NEW)
    assert said.clients.of(ME).changed_ns == begun + OBJECTION_NS


def test_asking_again_does_not_make_a_thief_wait_less(said: Said) -> None:
    said.take(keyed(THIEF, nonce=2))
    said.now_ns += OBJECTION_NS - 2
    said.take(keyed(THIEF, nonce=3))
    assert said.clients.of(ME).key_at(said.now_ns + 2) == public(OLD)


@given(st.binary(max_size=200))
def test_texts_that_are_none_are_told_apart(raw: bytes) -> None:
    with suppress(FundsError):
        assert encode(decode_of_account(raw))


@pytest.mark.parametrize("text", [keyed(OLD, nonce=1), Listed(HOME, 3, "00" * 64, "n"), Unlisted(HOME)])
def test_texts_come_back_as_they_were(text: AccountText) -> None:
    assert decode_of_account(encode(text)) == text
    with pytest.raises(FundsError):
        decode(encode(text), Wish)


def test_what_is_signed_is_for_people_to_read() -> None:
    assert to_be_signed(wish(nonce=17), account=ME, currency="XBt").decode() == (
        "Ringfence: pay\naccount: 7\ncurrency: XBt\nto: bcrt1qhome\namount: 5\nfee at most: 1\nnonce: 17"
    )
