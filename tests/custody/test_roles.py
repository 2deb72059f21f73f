"""Nine roles, each dishonest alone, thirty attacks each: nobody gets away with a coin.

A theft is a transaction that pays the thief and that Bitcoin Core's verifier takes, made of every signature that the
role could get; or coins of the exchange's ledger that were never there and are paid out.
"""

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ringfence.custody.chains.bitcoin.transactions import parse_transaction
from ringfence.custody.cosigner.config import ConfigurationError
from ringfence.custody.demonstration import FIRST_POLICY, PLACES
from ringfence.custody.ledger import LedgerGapError, Moved
from ringfence.custody.policy.policy import PolicyError
from ringfence.custody.quorum.messages import Batch, Part, SignedApproval
from ringfence.custody.wallets.addresses import AddressBook, AddressBookError
from ringfence.custody.wallets.descriptors import key_label
from ringfence.custody.wallets.owners import Owner
from ringfence.testing import thieves
from ringfence.testing.custody import TO, Custody
from ringfence.testing.thieves import THIEF, THIEF_SCRIPT, XBT, Heist
from ringfence.units.assets import XBT as ASSET
from tests.custody import test_mutations as mutations

ATTACKS = 30


def steal_as_coordinator(heist: Heist, dice: random.Random) -> None:
    """It may ask everybody everything, in any order, with anything changed."""
    change = dice.choice((thieves.pay_thief, thieves.add_thief, thieves.swap_change))
    stolen = heist.changed(change)
    if dice.random() < 0.5:
        stolen = dice.choice(mutations.REDONE)(stolen, dice)
    for name in PLACES:
        heist.consider(name, stolen)


def steal_as_operations(heist: Heist, dice: random.Random) -> None:
    _steal_as_signer(heist, dice, "ops-")


def steal_as_policy(heist: Heist, dice: random.Random) -> None:
    _steal_as_signer(heist, dice, "policy-")


def _steal_as_signer(heist: Heist, dice: random.Random, role: str) -> None:
    """It has its own token and log, hears what it is asked, and may write to the others as itself."""
    from ringfence.custody.hsm.token import der
    from ringfence.custody.quorum.multisig import digests, read_unsigned

    name = dice.choice([one for one in PLACES if one.startswith(role)])
    wallets = heist.custody.hardware.wallets
    stolen = heist.changed(dice.choice((thieves.pay_thief, thieves.swap_change, thieves.add_thief)))
    parts = read_unsigned(stolen.unsigned)
    coins = [heist.coins[str(item.outpoint)] for item in parts.transaction.inputs]
    mine = [wallets.classify(coin.script) for coin in coins]
    scripts = [wallets.derivers[one.owner].witness_script(one.keychain, one.number) for one in mine if one]
    token = heist.custody.hardware.places[name].token
    signatures = []
    for one, digest in zip(mine, digests(parts, coins, scripts), strict=True):
        assert one is not None
        label = key_label(one.owner.text, one.keychain, one.number)
        signatures.append((token.public_key(label).hex(), (der(token.sign(label, digest)) + b"\1").hex()))
    from ringfence.custody.quorum.messages import subject_of

    heist.parts.append(Part(name, subject_of(parts.unsigned), tuple(signatures), (), "", 0, "", ""))
    heist.questions[f"{name} {dice.random()}"] = stolen
    for other in PLACES:
        if other != name:
            heist.ask(other, stolen, is_coordinator=False)


def steal_as_exchange(heist: Heist, dice: random.Random) -> None:
    """It owns every server of the exchange: its feed says what it likes, and the co-signers follow it.

    What it can do is credit what never came. A request in a client's name, for coins that are there, is bounded by
    windows, first-use caps and people's approvals; see docs/operating/custody.md.
    """
    exchange, custody = heist.custody.exchange, heist.custody
    amount = dice.randrange(2, 50) * XBT
    exchange.wallets[9] = amount
    outpoint = f"{dice.randrange(16**64):064x}:{dice.randrange(3)}"
    exchange.said.append(
        Moved(exchange._next(), custody.now_ns, "credit", 9, ASSET.number, amount, outpoint=outpoint)
    )
    exchange.instruction_next += 1
    exchange.ask(9, amount - XBT, 200_000, THIEF, now_ns=custody.now_ns)
    _work(custody, 3)


def steal_as_node(heist: Heist, dice: random.Random) -> None:
    """The coordinator's node lies: deposits that nobody else sees, heights that never were."""
    custody = heist.custody
    intent = msgspec.structs.replace(
        heist.honest.batch.intents[0], id=str(dice.randrange(10**6, 10**7)), destination=THIEF,
        amount=dice.randrange(10_000, XBT),
    )  # fmt: skip
    forged = Batch(f"batch-{intent.id}", Owner.CLIENTS.text, (intent,))
    custody.driver._write("gathered", {"batch": msgspec.to_builtins(forged)})
    _work(custody, 4)


def steal_as_trader(heist: Heist, dice: random.Random) -> None:
    """It has an account, a key and a lot of patience."""
    exchange, custody = heist.custody.exchange, heist.custody
    own = exchange.wallets.get(2, 0)
    address = dice.choice((THIEF, custody.book.address_of(2).text, "bcrt1qnonsense", ""))
    amount = dice.choice((own, own // 2, 1_000, 546))
    fee = dice.choice((0, 1, 20_000))
    if 0 < amount + fee <= own and address != THIEF:
        exchange.ask(2, amount, fee, address, now_ns=custody.now_ns)
    with pytest.raises(AssertionError):
        exchange.ask(2, own + 1, fee, THIEF, now_ns=custody.now_ns)
    _work(custody, 2)


def steal_as_person(heist: Heist, dice: random.Random) -> None:
    """One of those who approve: its own signature, for others' names, for other movements, and a policy of its own."""
    custody, hardware = heist.custody, heist.custody.hardware
    intent = heist.honest.batch.intents[0]
    mine = hardware.approval(intent, "custody-anna", at_ns=custody.now_ns)
    forged = msgspec.structs.replace(
        mine, approval=msgspec.structs.replace(mine.approval, person="custody-bert")
    )
    other = msgspec.structs.replace(mine, approval=msgspec.structs.replace(mine.approval, digest="00" * 32))
    approvals: tuple[SignedApproval, ...] = dice.choice(
        ((mine,), (forged,), (mine, forged), (other,), (mine, mine))
    )
    stolen = msgspec.structs.replace(heist.changed(thieves.pay_thief), approvals=approvals)
    heist.consider(heist.signer, stolen)
    loose = msgspec.structs.replace(
        FIRST_POLICY, version=2, cap=10**15 + dice.randrange(99), tiers=FIRST_POLICY.tiers[:1]
    )
    document = hardware.signed(loose, by=("custody-anna",) * dice.choice((1, 2)))
    charter = msgspec.structs.replace(hardware.charter, policies=(*hardware.charter.policies, document))
    with pytest.raises((ConfigurationError, PolicyError)):
        charter.policy(now_ns=10**19)


def steal_as_address_server(heist: Heist, dice: random.Random) -> None:
    """It writes the file of addresses."""
    custody = heist.custody
    path = custody.folder / "addresses"
    kept = path.read_text()
    line = dice.choice(kept.splitlines())
    address = line.split('"address": "')[1].split('"')[0]
    changed = dice.choice((THIEF, address[:-1] + ("q" if address[-1] != "q" else "p"), TO))
    path.write_text(kept.replace(address, changed))
    with pytest.raises(AddressBookError):
        AddressBook(path, custody.hardware.wallets)
    path.write_text(kept)


def steal_as_archivist(heist: Heist, dice: random.Random) -> None:
    """It has the database, the logs and all backups: it edits the ledger's history that a replica folds."""
    replica = heist.custody.replica()
    replica.look()
    open_one = next(iter(replica.ledger.open().values()))
    more = open_one.locked + dice.randrange(1, XBT)
    forgeries = (
        Moved(1, 0, "left", open_one.account, ASSET.number, more, withdrawal=open_one.number),
        Moved(1, 0, "returned", 9, ASSET.number, open_one.locked, withdrawal=open_one.number),
        Moved(1, 0, "left", open_one.account, ASSET.number, 1, withdrawal=dice.randrange(10**6, 10**7)),
        next(one for one in heist.custody.exchange.said if one.kind == "credit"),
    )
    with pytest.raises(LedgerGapError):
        replica.ledger.fold(dice.choice(forgeries))


def _work(custody: Custody, turns: int) -> None:
    for _ in range(turns):
        custody.turn()
        custody.mine()


ROLES: dict[str, Callable[[Heist, random.Random], None]] = {
    "coordinator": steal_as_coordinator, "co-signer of operations": steal_as_operations,
    "co-signer of policy": steal_as_policy, "owner of the exchange's servers": steal_as_exchange,
    "operator of the node": steal_as_node, "trader": steal_as_trader, "person who approves": steal_as_person,
    "keeper of addresses": steal_as_address_server, "keeper of the records": steal_as_archivist,
}  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_one_dishonest_role_gets_nothing(custody: Any, role: str) -> None:
    heist = Heist(custody)
    dice = random.Random(role)
    for _ in range(ATTACKS):
        ROLES[role](heist, dice)
        assert not heist.is_stolen()
    # Whatever went over the wire by itself, no coin of the chain has come to the thief.
    assert custody.node.rpc.scan([THIEF_SCRIPT]).coins == ()
    for flow in custody.batches.flows.values():
        for attempt in flow.attempts:
            assert all(output.script != THIEF_SCRIPT for output in parse_transaction(attempt.raw).outputs)
