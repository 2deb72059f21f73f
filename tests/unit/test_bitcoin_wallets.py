"""Wallets: what the script allows, what is refused before anybody signs, which address is whose."""

from pathlib import Path

import bdkpython
import msgspec
import pytest
from embit.script import Script
from embit.transaction import Transaction, TransactionInput, TransactionOutput

from ringfence.custody.chains.bitcoin.transactions import (
    REPLACEABLE_SEQUENCE,
    TransactionError,
    parse_transaction,
)
from ringfence.custody.chains.bitcoin.transactions import Transaction as Read
from ringfence.custody.quorum import multisig
from ringfence.custody.wallets import addresses, building, descriptors, owners
from ringfence.custody.wallets.building import BuildError, Funds, Payment, build
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.descriptors import (
    DerivationError,
    Deriver,
    DescriptorError,
    Keychain,
    PoolEndError,
)
from ringfence.custody.wallets.owners import Owner
from ringfence.testing.bitcoin import Signers, kernel_accepts, wallets_of

SIGNERS = {owner: Signers(owner, int(owner)) for owner in Owner}
CLIENTS = SIGNERS[Owner.CLIENTS]
WALLETS = wallets_of(SIGNERS)
POLICY_POOLS = CLIENTS.vault.policy
TO = b"\x00\x14" + b"\x77" * 20


def funds_of(owner: Owner, *amounts_sats: int, keychain: Keychain = Keychain.RECEIVE) -> list[Funds]:
    """Return coins that one transaction from nowhere has made, at the owner's first scripts."""
    scripts = [WALLETS.derivers[owner].script(keychain, n) for n in range(len(amounts_sats))]
    outputs = [
        TransactionOutput(amount, Script(script))
        for amount, script in zip(amounts_sats, scripts, strict=True)
    ]
    raw = Transaction(2, [TransactionInput(b"\x11" * 32, 0)], outputs, 0).serialize()
    made = parse_transaction(raw)
    return [
        Funds(Coin(Outpoint(made.txid, n), output.amount_sats, output.script), raw)
        for n, output in enumerate(made.outputs)
    ]


def built(*, recovery: bool = False) -> tuple[building.Unsigned, list[Funds]]:
    funds = funds_of(Owner.CLIENTS, 50_000_000)
    payments = [Payment(TO, 1_000_000)]
    unsigned = build(
        WALLETS, Owner.CLIENTS, funds, payments, fee_rate_sats_per_kvb=5000, change_index=0, recovery=recovery
    )
    return unsigned, funds


def spent(who: tuple[int, ...], *, recovery: bool = False) -> tuple[Read, list[Funds]]:
    unsigned, funds = built(recovery=recovery)
    return CLIENTS.spend(WALLETS, unsigned.psbt, funds, who, recovery=recovery), funds


# Operations are 0, 1, 2, policy 3, 4, recovery 5 to 9.
ALLOWED = [(a, b, p) for a, b in ((0, 1), (0, 2), (1, 2)) for p in (3, 4)]
FORBIDDEN = [
    (0, 1, 2), (0, 3, 4), (2, 3, 4), (0, 1), (3, 4), (0, 3), (5, 6, 7), (5, 6, 7, 8, 9), (0, 1, 5), (0, 5, 3),
    (5, 6, 3), (0, 5, 6, 7, 3),
]  # fmt: skip


@pytest.mark.parametrize("who", ALLOWED)
def test_two_of_operations_and_one_of_policy_spend(who: tuple[int, ...]) -> None:
    signed, funds = spent(who)
    assert kernel_accepts(signed, funds)
    assert (
        signed.vsize
        <= building.vsize_max(1, [output.script for output in signed.outputs])
        <= signed.vsize + 2
    )


@pytest.mark.parametrize("who", FORBIDDEN)
@pytest.mark.parametrize("recovery", [False, True])
def test_nobody_else_does_by_either_branch(who: tuple[int, ...], recovery: bool) -> None:
    """The network decides it, whatever witness is made of the signatures that there are."""
    signed, funds = spent(who, recovery=False)
    assert not kernel_accepts(signed, funds)
    if recovery and len([one for one in who if one >= 5]) < 3:
        signed, funds = spent(who, recovery=True)
        assert not kernel_accepts(signed, funds)


def test_three_of_recovery_spend_when_the_coin_is_old_enough() -> None:
    for who in ((5, 6, 7), (7, 8, 9), (5, 7, 9)):
        signed, funds = spent(who, recovery=True)
        assert [item.sequence for item in signed.inputs] == [descriptors.RECOVERY_BLOCKS]
        assert kernel_accepts(signed, funds)
    assert not kernel_accepts(*spent((5, 6), recovery=True))


def test_recovery_without_the_wait_is_refused_by_the_script() -> None:
    """The same signatures under the sequence of an ordinary spend: CSV says no."""
    unsigned, funds = built()
    signed = CLIENTS.spend(WALLETS, unsigned.psbt, funds, (5, 6, 7), recovery=True)
    assert not kernel_accepts(signed, funds)


def test_the_witness_is_the_one_that_bdk_makes_of_the_miniscript() -> None:
    """Another implementation, which knows nothing of ours but the descriptor, finalises to the same bytes."""
    unsigned, funds = built()
    signed = CLIENTS.sign(WALLETS, unsigned.psbt, funds, (0, 2, 4))
    psbt = building.PSBT.from_string(unsigned.psbt)
    for entry, parts in zip(psbt.inputs, signed, strict=True):
        for key, signature in parts.items():
            entry.partial_sigs[multisig_key(key)] = signature
    result = bdkpython.Psbt(psbt.to_string()).finalize()
    assert result.could_finalize
    ours = CLIENTS.spend(WALLETS, unsigned.psbt, funds, (0, 2, 4))
    assert bytes(result.psbt.extract_tx().serialize()) == ours.raw


def multisig_key(key: bytes) -> object:
    from embit.ec import PublicKey

    return PublicKey.parse(key)


def test_another_owners_signers_sign_nothing() -> None:
    unsigned, funds = built()
    assert SIGNERS[Owner.COMPANY].sign(WALLETS, unsigned.psbt, funds, (0, 1, 3)) == [{}]


def test_a_changed_byte_makes_signatures_worthless() -> None:
    signed, funds = spent((0, 1, 3))
    outputs_at = signed.raw.index(TO)
    changed = bytearray(signed.raw)
    changed[outputs_at + 5] ^= 1
    assert not kernel_accepts(parse_transaction(bytes(changed)), funds)


def test_two_ways_that_disagree_on_a_digest_sign_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    unsigned, funds = built()
    monkeypatch.setattr(multisig, "digest_of", lambda *_: bytes(32))
    with pytest.raises(multisig.MultisigError, match="two ways"):
        CLIENTS.sign(WALLETS, unsigned.psbt, funds, (0,))


# ---- vaults


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"operations": CLIENTS.vault.operations[:2]}, "holders"),
        ({"recovery": CLIENTS.vault.recovery[:4]}, "holders"),
        ({"recovery": (*CLIENTS.vault.recovery[:4], CLIENTS.vault.recovery[0])}, "twice"),
        ({"policy": (CLIENTS.vault.policy[0], CLIENTS.vault.policy[0])}, "twice"),
        ({"policy": (POLICY_POOLS[0], msgspec.structs.replace(CLIENTS.vault.operations[0], signer="x"))}, "twice"),
        ({"recovery_blocks": 0}, "cannot be said"),
        ({"recovery_blocks": 65_536}, "cannot be said"),
        ({"recovery": (*CLIENTS.vault.recovery[:4], "tpubnonsense")}, "no extended public key"),
        ({"recovery": (*CLIENTS.vault.recovery[:4], CLIENTS._recovery[4].to_base58())}, "private"),
        ({"policy": (POLICY_POOLS[0], msgspec.structs.replace(POLICY_POOLS[1], change=("f" * 66,)))}, "compressed"),
    ],
)  # fmt: skip
def test_a_vault_of_another_form_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(DescriptorError, match=why):
        Deriver(msgspec.structs.replace(CLIENTS.vault, **changes), bdkpython.Network.REGTEST)


def test_owners_that_share_a_key_are_refused() -> None:
    theirs = SIGNERS[Owner.COMPANY].vault
    shared = msgspec.structs.replace(theirs, policy=(theirs.policy[0], CLIENTS.vault.policy[1]))
    with pytest.raises(DescriptorError, match="share"):
        owners.Wallets({Owner.CLIENTS: CLIENTS.vault, Owner.COMPANY: shared}, lookahead=1)


def test_a_vault_is_its_owners() -> None:
    with pytest.raises(DescriptorError, match="says that it is of"):
        owners.Wallets({Owner.COMPANY: CLIENTS.vault})


def test_beyond_the_pools_there_are_no_scripts() -> None:
    deriver = WALLETS.derivers[Owner.CLIENTS]
    assert deriver.script(Keychain.RECEIVE, 23)
    for index in (24, -1, 10**6):
        with pytest.raises(PoolEndError, match="no key"):
            deriver.script(Keychain.RECEIVE, index)


def test_two_libraries_that_disagree_show_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deriver, "script_again", lambda *_: b"\x00\x20" + bytes(32))
    with pytest.raises(DerivationError):
        WALLETS.derivers[Owner.CLIENTS].script(Keychain.RECEIVE, 0)


# ---- whose


def test_scripts_are_the_owners_whose_they_are_and_others_are_nobodys() -> None:
    for owner in Owner:
        for keychain in Keychain:
            script = WALLETS.derivers[owner].script(keychain, 7)
            assert WALLETS.classify(script) == owners.Mine(owner, keychain, 7)
    assert WALLETS.classify(TO) is None
    assert WALLETS.classify(WALLETS.derivers[Owner.CLIENTS].script(Keychain.CHANGE, 23)) is None


def test_an_account_keeps_its_address_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "addresses"
    book = addresses.AddressBook(path, wallets_of(SIGNERS))
    alice, bob = book.address_of(7), book.address_of(8)
    assert book.address_of(7) == alice != bob
    fresh = book.address_of(7, fresh=True)
    book.close()
    again = addresses.AddressBook(path, wallets_of(SIGNERS))
    assert again.address_of(7) == fresh
    assert [again.account_of(a.script) for a in (alice, bob, fresh)] == [alice, bob, fresh]
    again.close()


def test_a_line_that_a_crash_has_cut_short_was_shown_to_nobody(tmp_path: Path) -> None:
    path = tmp_path / "addresses"
    book = addresses.AddressBook(path, wallets_of(SIGNERS))
    first, second = book.address_of(7), book.address_of(8)
    book.close()
    path.write_bytes(path.read_bytes()[:-9])
    again = addresses.AddressBook(path, wallets_of(SIGNERS))
    assert again.address_of(7) == first
    assert again.address_of(9) == second._replace(account=9)
    again.close()


@pytest.mark.parametrize("damage", [(b"bcrt1q", b"bcrt1p"), (b'"index": 1', b'"index": 2'), (b"{", b"[")])
def test_a_file_of_addresses_that_was_changed_gives_none(tmp_path: Path, damage: tuple[bytes, bytes]) -> None:
    path = tmp_path / "addresses"
    book = addresses.AddressBook(path, wallets_of(SIGNERS))
    book.address_of(7)
    book.address_of(8)
    book.close()
    path.write_bytes(path.read_bytes().replace(*damage))
    with pytest.raises(addresses.AddressBookError):
        addresses.AddressBook(path, wallets_of(SIGNERS))


def test_unused_addresses_end_at_the_gap_and_go_on_when_one_is_paid(tmp_path: Path) -> None:
    book = addresses.AddressBook(tmp_path / "addresses", wallets_of(SIGNERS), gap_max=3)
    given = [book.address_of(n) for n in range(3)]
    with pytest.raises(addresses.GapError):
        book.address_of(3)
    book.note_used(given[0].script)
    assert book.address_of(3).number == 3
    book.close()


# ---- building


def test_a_batch_pays_everyone_and_the_rest_comes_back_to_its_owner() -> None:
    funds = funds_of(Owner.CLIENTS, 2_000_000, 3_000_000, 70_000)
    payments = [Payment(TO, 1_500_000), Payment(b"\x51\x20" + b"\x42" * 32, 2_500_000), Payment(TO, 100_000)]
    unsigned = build(WALLETS, Owner.CLIENTS, funds, payments, fee_rate_sats_per_kvb=7000, change_index=4)
    signed = CLIENTS.spend(WALLETS, unsigned.psbt, funds, (0, 2, 3))
    assert kernel_accepts(signed, funds)
    paid = [Payment(output.script, output.amount_sats) for output in signed.outputs]
    assert sorted(payments) == sorted(p for n, p in enumerate(paid) if n not in unsigned.change)
    (change,) = unsigned.change
    assert WALLETS.classify(paid[change].script) == owners.Mine(Owner.CLIENTS, Keychain.CHANGE, 4)
    assert unsigned.fee_sats >= 7 * signed.vsize
    assert unsigned.fee_sats <= 7 * signed.vsize * 102 // 100
    assert all(item.sequence == REPLACEABLE_SEQUENCE for item in signed.inputs)


def test_coins_of_another_owner_are_not_spent() -> None:
    funds = [*funds_of(Owner.CLIENTS, 100_000), *funds_of(Owner.COMPANY, 5_000_000)]
    with pytest.raises(BuildError, match="not of clients"):
        build(
            WALLETS, Owner.CLIENTS, funds, [Payment(TO, 50_000)], fee_rate_sats_per_kvb=1000, change_index=0
        )


def test_only_the_coins_that_are_given_are_spent() -> None:
    """The maker of a coin may have made others of ours that are held for something else."""
    one, other = funds_of(Owner.CLIENTS, 1_000_000, 9_000_000)
    unsigned = build(
        WALLETS, Owner.CLIENTS, [one], [Payment(TO, 500_000)], fee_rate_sats_per_kvb=1000, change_index=0
    )
    assert unsigned.spends == (one.coin.outpoint,)
    with pytest.raises(BuildError, match="are there"):
        build(
            WALLETS,
            Owner.CLIENTS,
            [one],
            [Payment(TO, 5_000_000)],
            fee_rate_sats_per_kvb=1000,
            change_index=0,
        )
    assert other.coin.outpoint not in unsigned.spends


def test_a_replacement_spends_a_coin_of_the_first() -> None:
    funds = funds_of(Owner.CLIENTS, 1_000_000, 9_000_000)
    unsigned = build(
        WALLETS, Owner.CLIENTS, funds, [Payment(TO, 500_000)], fee_rate_sats_per_kvb=1000, change_index=0,
        all_of=[funds[0].coin.outpoint],
    )  # fmt: skip
    assert funds[0].coin.outpoint in unsigned.spends


@pytest.mark.parametrize("rate", [0, -5, building.FEE_RATE_SATS_PER_KVB_MAX + 1])
def test_a_fee_rate_out_of_bounds_builds_nothing(rate: int) -> None:
    with pytest.raises(BuildError, match="fee rate"):
        build(
            WALLETS, Owner.CLIENTS, funds_of(Owner.CLIENTS, 1_000_000), [Payment(TO, 500_000)],
            fee_rate_sats_per_kvb=rate, change_index=0,
        )  # fmt: skip


# ---- transactions


def test_bytes_that_are_no_transaction_are_refused() -> None:
    signed, _ = spent((0, 1, 3))
    assert parse_transaction(signed.raw) == signed
    for raw in (b"", signed.raw[:-1], signed.raw + b"\0", signed.raw[:40], b"\0" * 10, b"\xff" * 100):
        with pytest.raises(TransactionError):
            parse_transaction(raw)
