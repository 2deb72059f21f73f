"""A list of reserves: what follows from it, and the ways of counting coins twice, or others' coins, that we know."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import bdkpython
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.assurance.proofs.errors import ForgedError, InconclusiveError
from ringfence.assurance.proofs.hashes import canonical
from ringfence.assurance.proofs.reserves import bitcoin, check_coins, check_listing, ethereum, yaml_of
from ringfence.assurance.proofs.reserves.making import _asset
from ringfence.assurance.proofs.reserves.model import FACTORS, read_reserves
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner
from ringfence.testing.bitcoin import Signers, wallets_of
from ringfence.testing.reserves import VENUE, Treasure
from tests.proofs.bitmex_reserves import validate
from tests.proofs.mutations import mutated

TREASURE = Treasure(custodial=2)
RAW = TREASURE.reserves()
COINS = TREASURE.found_coins()
USED_WITHOUT_TOKENS = TREASURE.nodes_without_tokens
Json = dict[str, Any]


def changed(change: Callable[[Json], None], raw: bytes = RAW) -> bytes:
    """Return a list with something else in it, in its one form."""
    said = json.loads(raw)
    change(said)
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def with_row(row: Json, raw: bytes = RAW) -> bytes:
    """Return a list with one more script, whose coins are in the totals."""

    def change(said: Json) -> None:
        said["bitcoin"]["scripts"].append(row)
        of = said["assets"]["XBt"]
        name = row["kind"]
        of["classes"][name] = str(int(of["classes"][name]) + int(row["balance"]))
        of["total"] = str(int(of["total"]) + int(row["balance"]))

    return changed(change, raw)


def first(raw: bytes = RAW) -> Json:
    """Return a copy of the first script's row."""
    row: Json = json.loads(raw)["bitcoin"]["scripts"][0]
    return row


def test_a_true_list_is_one_and_the_chain_has_it() -> None:
    checked = check_listing(RAW, venue=VENUE)
    assert not checked.doubts
    assets = checked.reserves.assets
    clients = sum(
        coin.amount_sats for mine, coins in TREASURE.rows if mine.owner == Owner.CLIENTS for coin in coins
    )
    hot = sum(coin.amount_sats for coin in TREASURE.hot_coins)
    assert assets["XBt"].classes == {"multisig": str(clients), "threshold": str(hot)}
    assert int(assets["XBt"].total) == clients + hot - 5
    assert assets["XBt"].apart["custodial"] == "2000"
    assert int(assets["Gwei"].total) == (3 * 10**18 + 5 + 10**9 - 1 - 10**9 - 1) // 10**9
    assert check_coins(COINS, checked).coins == 8


def test_what_others_keep_and_what_is_the_companys_is_in_no_total() -> None:
    asset = check_listing(RAW).reserves.assets["XBt"]
    assert int(asset.total) == sum(map(int, asset.classes.values())) - 5
    assert sorted(asset.apart) == ["company", "custodial"]
    assert all(int(raw) > 0 for raw in asset.apart.values())


# ---- W11 to W13


def test_w11_an_own_address_beside_as_somebody_elses_is_found() -> None:
    own = first()

    def change(said: Json) -> None:
        row = {key: own[key] for key in ("address", "script", "balance")} | {"custodian": "a friend"}
        said["bitcoin"]["custodial"].append(row)

    with pytest.raises(
        ForgedError, match=r"bitcoin.custodial\[2\]: the same script as in bitcoin.scripts\[0\]"
    ):
        check_listing(changed(change))


@pytest.mark.parametrize("with_checksum", [False, True])
def test_w12_a_descriptor_twice_is_found_with_and_without_its_checksum(with_checksum: bool) -> None:
    row = first()
    if with_checksum:
        row["descriptor"] += "#" + bitcoin.descriptor_checksum(row["descriptor"])
    row["coins"] = [
        {"amount": one["amount"], "outpoint": f"{'77' * 32}:{n}"} for n, one in enumerate(row["coins"])
    ]
    with pytest.raises(
        ForgedError, match=r"bitcoin.scripts\[5\]: the same script as in bitcoin.scripts\[0\]"
    ):
        check_listing(with_row(row))


def test_w12_a_bogus_address_is_found() -> None:
    row = first()
    for address in ("bcrt1qnonsense", row["address"].upper(), first()["address"][:-1] + "q", ""):
        with pytest.raises(ForgedError, match=r"bitcoin.scripts\[0\]: the address of the script is bcrt1q"):
            check_listing(
                changed(lambda said, one=address: said["bitcoin"]["scripts"][0].update(address=one))
            )


def test_w12_a_coin_twice_is_found_at_whatever_script() -> None:
    outpoint = first()["coins"][0]["outpoint"]

    def change(said: Json) -> None:
        said["bitcoin"]["scripts"][1]["coins"][0]["outpoint"] = outpoint

    with pytest.raises(ForgedError, match=r"bitcoin.scripts\[1\]: coin .* is in the list twice"):
        check_listing(changed(change))


THIEF = "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda text: f"wsh(or_i(pk({THIEF}),{text[4:-1]}))",
        lambda text: text.replace("or_i(", "or_d(", 1),
        lambda text: text.replace("multi(2,", "multi(1,", 1),
        lambda text: text.replace(",multi(1,", ",multi(2,", 1),
        lambda text: text.replace("older(26280)", "after(26280)"),
        lambda text: text.replace("multi(3,", "multi(2,"),
        lambda text: text.replace("wsh(", "sh(wsh(") + ")",
        lambda text: f"pk({THIEF})",
        lambda text: f"wpkh({THIEF})",
        lambda text: text + " ",
        lambda text: "raw(51)",
        lambda text: "",
    ],
)
def test_w13_a_branch_that_needs_none_of_our_keys_is_not_judged_as_ours(
    wrapped: Callable[[str], str],
) -> None:
    """The text has the extended public keys in it, which is enough for BitMEX's validator."""

    def change(said: Json) -> None:
        row = said["bitcoin"]["scripts"][0]
        row["descriptor"] = wrapped(row["descriptor"])

    checked = check_listing(changed(change))
    assert len(checked.doubts) == 1
    assert checked.doubts[0].startswith("bitcoin.scripts[0]: a descriptor of another form")


FALSE_KEYS = {
    "a key of operations twice": (lambda row: twice(row, 0, 1), "a key is in the script twice"),
    "one holder with a seat in both groups": (lambda row: twice(row, 0, 3), "a key is in the script twice"),
    "a recovery key of somebody else": (
        lambda row: row["descriptor"].replace(xpubs(row)[0], Signers(Owner.CLIENTS, 99).vault.recovery[0]),
        "descriptor makes the script",
    ),
    "a recovery key twice": (
        lambda row: row["descriptor"].replace(xpubs(row)[0], xpubs(row)[1]), "a recovery key is in the script twice",
    ),
    "recovery at once": (lambda row: row["descriptor"].replace("older(26280)", "older(1)"), "descriptor makes"),
    "another path": (lambda row: row["descriptor"].replace("/0/0", "/0/1"), "descriptor makes the script"),
    "several paths": (lambda row: row["descriptor"].replace("/0/0", "/0/1", 1), "have several paths"),
    "a path of private keys": (
        lambda row: row["descriptor"].replace("/0/0", "/0/2147483648"), "a path that only private keys go",
    ),
    "no extended key": (
        lambda row: row["descriptor"].replace(xpubs(row)[0], xpubs(row)[0][:-1] + "1"), "is no extended public key",
    ),
    "a false checksum": (lambda row: row["descriptor"] + "#qqqqqqqq", "the checksum of the descriptor is wrong"),
}  # fmt: skip


def xpubs(row: Json) -> list[str]:
    return [
        one.split("/")[0] for one in row["descriptor"].split("multi(3,")[1].split("),older")[0].split(",")
    ]


def twice(row: Json, one: int, other: int) -> str:
    keys = row["descriptor"].split("multi(2,")[1].split(")")[0].split(",")
    keys += row["descriptor"].split(",multi(1,")[1].split(")")[0].split(",")
    text: str = row["descriptor"]
    return text.replace(keys[other], keys[one])


@pytest.mark.parametrize("name", FALSE_KEYS)
def test_false_keys_in_a_script_of_our_form(name: str) -> None:
    make, words = FALSE_KEYS[name]

    def change(said: Json) -> None:
        row = said["bitcoin"]["scripts"][0]
        row["descriptor"] = make(row)

    with pytest.raises(ForgedError, match=rf"bitcoin.scripts\[0\]: .*{words}"):
        check_listing(changed(change))


def test_a_script_of_foreign_recovery_keys_is_none_of_the_vault() -> None:
    """As above, but the script and the address are changed with it."""
    theirs = wallets_of({Owner.CLIENTS: Signers(Owner.CLIENTS, 99)})
    deriver = theirs.derivers[Owner.CLIENTS]
    script = deriver.script_again(Keychain.RECEIVE, 0)
    row = first() | {
        "descriptor": deriver.published(Keychain.RECEIVE, 0), "script": script.hex(),
        "address": deriver.address(script),
        "coins": [{"outpoint": f"{'77' * 32}:0", "amount": "5"}], "balance": "5",
    }  # fmt: skip
    with pytest.raises(
        ForgedError, match=r"bitcoin.scripts\[5\]: a recovery key of the script is not of its vault"
    ):
        check_listing(with_row(row))


def test_a_key_in_two_scripts_is_found() -> None:
    deriver = TREASURE.wallets.derivers[Owner.CLIENTS]
    mixed = deriver.published(Keychain.RECEIVE, 3)
    own, other = (deriver.keys(Keychain.RECEIVE, number).policy[0].hex() for number in (3, 0))
    mixed = mixed.replace(own, other)
    found = bitcoin.read_descriptor(mixed, "regtest")
    row = first() | {
        "descriptor": mixed, "script": found.script.hex(), "address": bitcoin.address_of(found.script, "regtest"),
        "coins": [{"outpoint": f"{'77' * 32}:0", "amount": "5"}], "balance": "5",
    }  # fmt: skip
    with pytest.raises(ForgedError, match=r"scripts\[5\]: the key 0.* is in bitcoin.scripts\[0\] as well"):
        check_listing(with_row(row))


def test_the_companys_script_does_not_count_as_the_clients() -> None:
    def change(said: Json) -> None:
        (row,) = (one for one in said["bitcoin"]["scripts"] if one["kind"] == "company")
        row["kind"] = "multisig"
        of = said["assets"]["XBt"]
        of["classes"]["multisig"] = str(int(of["classes"]["multisig"]) + int(row["balance"]))
        of["total"] = str(int(of["total"]) + int(row["balance"]))
        del of["apart"]["company"]

    with pytest.raises(ForgedError, match="a recovery key of the script is not of its vault"):
        check_listing(changed(change))


# ---- forged rows, each named


def moved(said: Json, path: str, by: int) -> None:
    """Change an amount at a path such as `bitcoin/scripts/0/balance`."""
    *way, last = path.split("/")
    at: Any = said
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at[step]
    at[last] = str(int(at[last]) + by)


AMOUNTS = {
    "bitcoin/scripts/1/balance": r"bitcoin.scripts\[1\]: the balance is",
    "bitcoin/scripts/1/coins/0/amount": r"bitcoin.scripts\[1\]: the balance is",
    "assets/XBt/total": "XBt: the total is",
    "assets/XBt/feeMoney": "XBt: .* are the company's",
    "assets/XBt/classes/multisig": "XBt: classes.multisig is",
    "assets/XBt/apart/custodial": "XBt: apart.custodial is",
    "assets/Gwei/total": "Gwei: the total is",
    "assets/USDt/classes/accounts": "USDt: classes.accounts is",
    "assets/LAMPORT/total": "LAMPORT: the total is",
    "ethereum/accounts/0/balance": r"ethereum.accounts\[0\]: .* wei are listed, the block has",
    "ethereum/accounts/0/tokens/0/balance": r"ethereum.accounts\[0\]: .* of USDt are listed, the block has",
    "solana/accounts/1/balance": "LAMPORT: classes.accounts is",
    "bitcoin/custodial/1/balance": "XBt: apart.custodial is",
}


@pytest.mark.parametrize("path", AMOUNTS)
def test_an_amount_that_is_too_high_is_named(path: str) -> None:
    with pytest.raises(ForgedError, match=AMOUNTS[path]):
        check_listing(changed(lambda said: moved(said, path, 10**9)))


ROWS: dict[str, tuple[Callable[[Json], None], str]] = {
    "no such kind": (lambda s: s["bitcoin"]["scripts"][0].update(kind="ours"), "cannot be read"),
    "a field more": (lambda s: s.update(more=1), "cannot be read"),
    "a field less": (lambda s: s.pop("solana"), "not in the one form|cannot be read"),
    "another format": (lambda s: s.update(format="ringfence reserves 2"), "the format is"),
    "a venue that is none": (lambda s: s.update(venue="me"), "venue is no digest"),
    "a snapshot below zero": (lambda s: s.update(snapshot=-1), "snapshot is -1"),
    "a network that is none": (lambda s: s["bitcoin"].update(network="mars"), "no network is called"),
    "a script that is none": (lambda s: s["bitcoin"]["scripts"][0].update(script="zz"), "is not in hexadecimal"),
    "a coin that is none": (lambda s: s["bitcoin"]["scripts"][0]["coins"][0].update(outpoint="1:0"), "is no outpoint"),
    "a coin beyond": (
        lambda s: s["bitcoin"]["scripts"][0]["coins"][0].update(outpoint="11" * 32 + ":4294967296"), "is no outpoint",
    ),
    "less than nothing": (lambda s: s["bitcoin"]["scripts"][0]["coins"][0].update(amount="-5"), "is no amount"),
    "an odd spelling": (lambda s: s["assets"]["XBt"].update(total="0" + s["assets"]["XBt"]["total"]), "is no amount"),
    "a vault twice": (lambda s: s["bitcoin"]["vaults"].append(s["bitcoin"]["vaults"][0]), "has one already"),
    "a vault of the hot wallet": (lambda s: s["bitcoin"]["vaults"][0].update(kind="threshold"), "has no vault"),
    "a vault that is not there": (lambda s: s["bitcoin"]["vaults"].pop(0), "which has no vault"),
    "recovery at another height": (lambda s: s["bitcoin"]["vaults"][0].update(recoveryBlocks=9), "the vault has 9"),
    "another hot key": (lambda s: s["bitcoin"].update(hot=s["bitcoin"]["vaults"][0]["recovery"][0]), "hot wallet"),
    "an asset more": (lambda s: s["assets"].update(Litoshi=s["assets"]["USDt"]), "the assets are"),
    "an asset less": (lambda s: s["assets"].pop("USDt"), "the assets are"),
    "another class": (lambda s: s["assets"]["XBt"]["classes"].update(gold="0"), "XBt: classes are"),
    "more fee money than coins": (lambda s: s["assets"]["USDt"].update(feeMoney="99999999"), "are the company's"),
    "Bitcoin's block without Bitcoin": (lambda s: s.update(bitcoin=None), "nothing of Bitcoin is listed"),
    "another block of Ethereum": (lambda s: s["ethereum"].update(blockHash="11" * 32), "the header is of block"),
    "another height of Ethereum": (lambda s: s["ethereum"].update(height=78), "the header is of height 77"),
    "a header that is none": (lambda s: s["ethereum"].update(header="00"), "no list of a header's fields"),
    "a node less": (lambda s: s["ethereum"]["nodes"].pop(0), "a node of the proof is missing"),
    "a node that proves nothing": (
        lambda s: s["ethereum"].update(nodes=sorted([*s["ethereum"]["nodes"], "c0"])), "1 of them prove nothing",
    ),
    "a node twice": (lambda s: s["ethereum"]["nodes"].append(s["ethereum"]["nodes"][0]), "not in order, each once"),
    "an account twice": (lambda s: s["ethereum"]["accounts"].append(s["ethereum"]["accounts"][0]), "the same address"),
    "an account of a stranger": (
        lambda s: s["ethereum"]["accounts"][0].update(address=ethereum.spelt(b"\x11" * 20)), "follows from the key",
    ),
    "an address in small letters": (
        lambda s: s["ethereum"]["accounts"][0].update(address=s["ethereum"]["accounts"][0]["address"].lower()),
        "follows from the key",
    ),
    "a key that is not there": (lambda s: s["ethereum"]["accounts"][0].update(key=1), "no such key"),
    "an account below zero": (lambda s: s["ethereum"]["accounts"][0].update(number=-1), "no such address"),
    "a token twice": (
        lambda s: s["ethereum"]["accounts"][0].update(tokens=2 * s["ethereum"]["accounts"][0]["tokens"]),
        "is there twice",
    ),
    "a token without a contract": (lambda s: s["ethereum"].update(contracts=[]), "has no contract"),
    "a seed of another": (lambda s: s["solana"]["accounts"][1].update(seed="77"), "follows from key and seed"),
    "a seed too long": (lambda s: s["solana"]["accounts"][1].update(seed="7" * 33), "no address has the seed"),
    "an address of Solana twice": (
        lambda s: s["solana"]["accounts"].append(s["solana"]["accounts"][1]), "the same address",
    ),
    "a key of Solana that is none": (lambda s: s["solana"]["keys"].append("0OIl"), r"solana.keys\[1\] is no address"),
    "a custodial script under another address": (
        lambda s: s["bitcoin"]["custodial"][0].update(address="bc1q"), "the address of the script is",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_forged_row_is_named(name: str) -> None:
    change, words = ROWS[name]
    with pytest.raises(ForgedError, match=words):
        check_listing(changed(change))


def test_a_list_of_another_exchange_is_refused() -> None:
    with pytest.raises(ForgedError, match="of another exchange"):
        check_listing(RAW, venue="cd" * 32)


def test_a_token_whose_contract_is_not_known_is_not_judged() -> None:
    """Where a balance lies is a matter of the contract's code: who publishes a list does not get to say it."""

    def change(said: Json) -> None:
        of = said["ethereum"]
        of["contracts"][0]["address"] = ethereum.spelt(b"\x42" * 20)
        of["nodes"] = [node for node in of["nodes"] if node in USED_WITHOUT_TOKENS]

    (doubt,) = check_listing(changed(change)).doubts
    assert "is not known here" in doubt


def test_the_file_has_one_form() -> None:
    for raw in (
        RAW + b"\n",
        RAW.replace(b",", b", ", 1),
        json.dumps(json.loads(RAW)).encode(),
        b"",
        b"{}",
        b"\xff",
    ):
        with pytest.raises(ForgedError):
            read_reserves(raw)
    assert canonical(read_reserves(RAW)) == RAW


# ---- against the chain


def test_a_coin_that_the_chain_has_not_is_named() -> None:
    checked = check_listing(RAW)
    with pytest.raises(ForgedError, match=r"bitcoin.scripts\[0\]: the chain has no coin"):
        check_coins(COINS[1:], checked)
    less = COINS[0]._replace(output=COINS[0].output._replace(amount_sats=1))
    with pytest.raises(ForgedError, match=r"bitcoin.scripts\[0\]: coin .* holds 1 satoshis"):
        check_coins((less, *COINS[1:]), checked)
    elsewhere = COINS[0]._replace(output=COINS[0].output._replace(script=b"\0\x14" + bytes(20)))
    with pytest.raises(ForgedError, match="the chain has no coin"):
        check_coins((elsewhere, *COINS[1:]), checked)
    banks = [one for one in COINS if one.outpoint.txid != "99" * 32]
    with pytest.raises(ForgedError, match=r"bitcoin.custodial: 0 satoshis"):
        check_coins(banks, checked)


def test_coins_that_are_not_listed_do_no_harm() -> None:
    more = COINS[0]._replace(outpoint=COINS[0].outpoint._replace(txid="66" * 32))
    assert check_coins((*COINS, more), check_listing(RAW)).more == more.output.amount_sats


# ---- laws


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 4), st.integers(1, 3), st.integers(0, 1), st.integers(0, 2), st.booleans())
def test_whatever_is_owned_is_listed_proven_and_read_by_bitmexs_rules(
    scripts: int, coins: int, hot: int, custodial: int, with_accounts: bool
) -> None:
    treasure = Treasure(
        scripts=scripts, coins=coins, hot_coins=hot, custodial=custodial, with_accounts=with_accounts
    )
    raw = treasure.reserves()
    checked = check_listing(raw)
    assert not checked.doubts
    of_chain = treasure.found_coins()
    assert check_coins(of_chain, checked).more == 0
    for currency, asset in checked.reserves.assets.items():
        whole = sum(map(int, asset.classes.values())) - int(asset.fee_money)
        assert int(asset.total) * FACTORS[currency] <= whole < (int(asset.total) + 1) * FACTORS[currency]

    def scan(descriptors: list[str]) -> int:
        """As Core scans: bdk reads the descriptors."""
        wanted = set()
        for one in descriptors:
            of = bdkpython.Descriptor(one, bdkpython.NetworkKind.TEST)
            wanted.add(bytes(of.derive_address(0, bdkpython.Network.REGTEST).script_pubkey().to_bytes()))
        return sum(one.output.amount_sats for one in of_chain if one.output.script in wanted)

    counted = sum(map(int, checked.reserves.assets["XBt"].classes.values()))
    assert validate(yaml_of(checked.reserves), chain="regtest", scan=scan, chunk=2) == counted


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_totals_are_rounded_down_and_fee_money_is_never_counted(wei: int, fees: int) -> None:
    """The sum of what is proven, less what is the company's, in whole ledger units."""
    made = _asset("Gwei", Counter(accounts=wei), Counter(), fees)
    assert int(made.total) == max(wei - fees, 0) // 10**9


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_changed_byte_is_accepted(data: st.DataObject) -> None:
    """Flipped, cut out, doubled or swapped: a list is refused, or what it says of coins is not on the chain.

    What may change without being false is what is about nothing: the name of a custodian, the number of a snapshot, the
    venue (which is asked for), the block (which the dump is held against), Solana's slot.
    """
    raw = mutated(data, RAW, digits=b"0123456789", swap=lambda byte: 48 + (byte - 47) % 10)
    assert raw == RAW or not is_accepted(raw)


def is_accepted(raw: bytes) -> bool:
    """Whether a stranger believes a list who knows venue, block, and chain."""
    try:
        checked = check_listing(raw, venue=VENUE)
        check_coins(COINS, checked)
    except (ForgedError, InconclusiveError):
        return False
    said, true = json.loads(raw), json.loads(RAW)
    if checked.doubts or said["blockHash"] != true["blockHash"] or said["height"] != true["height"]:
        return False
    for one in (said, true):
        one["snapshot"] = 0
        one["assets"]["Gwei"]["feeMoney"] = ""  # below the unit it changes nothing
        for row in one["bitcoin"]["custodial"]:
            row["custodian"] = ""
        one["solana"]["slot"], one["solana"]["blockhash"], one["solana"]["chain"] = 0, "", ""
    return bool(said != true)
