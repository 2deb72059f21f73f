"""The prover's parts: its keys, its desk, and the check before a minute is opened."""

import asyncio
import os
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ringfence.assurance.proofs.claims_tree import ClaimsTree
from ringfence.assurance.proofs.errors import DifferentError, ForgedError
from ringfence.assurance.proofs.liabilities import Names
from ringfence.assurance.proofs.schedule import Schedule
from ringfence.assurance.proofs.secrets import account_nonce, snapshot_key, sub_nonce
from ringfence.commitments import load_keys
from ringfence.custody.hsm import softhsm_module
from ringfence.daemons import proof_secrets
from ringfence.daemons.proof_desk import Answer, Desk, Opened
from ringfence.daemons.proof_openings import _check
from ringfence.daemons.prover import Prover, read_schedule
from ringfence.testing.proof_operator import EPOCH_KEY, Operator


def founded(directory: Path) -> Path:
    """Return a directory with an exchange's key and a prover's, as `ringfence up` makes them."""
    keys = load_keys(directory)
    (directory / "roots" / "venue.pub").write_text(keys.public_bytes.hex() + "\n")
    proof_secrets.found(directory)
    return directory


# ---- keys


def test_the_exchange_names_the_provers_key_once(tmp_path: Path) -> None:
    directory = founded(tmp_path)
    first = proof_secrets.load_publisher(directory)
    proof_secrets.found(directory)
    again = proof_secrets.load_publisher(directory)
    assert (first.public, first.endorsement) == (again.public, again.endorsement)
    assert (directory / "proofs" / "signing.key").stat().st_mode & 0o077 == 0


def test_a_key_that_another_exchange_has_named_is_not_used(tmp_path: Path) -> None:
    mine, other = founded(tmp_path / "mine"), founded(tmp_path / "other")
    shutil.copy(other / "proofs" / "publisher.json", mine / "proofs" / "publisher.json")
    with pytest.raises(ForgedError, match="has not named the key"):
        proof_secrets.load_publisher(mine)


@pytest.mark.parametrize("name", ["signing.key", "master.key"])
def test_a_damaged_key_is_named_and_not_made_anew(tmp_path: Path, name: str) -> None:
    directory = founded(tmp_path)
    (directory / "proofs" / name).write_bytes(b"short")
    load = proof_secrets.load_publisher if name == "signing.key" else proof_secrets.open_master
    with pytest.raises(ValueError, match=rf"proofs/{name} is damaged: it has 5 bytes"):
        load(directory)


def test_without_a_token_a_file_hides_accounts_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = founded(tmp_path)
    monkeypatch.setattr(proof_secrets, "softhsm_module", lambda: None)
    first = proof_secrets.EpochKeys(proof_secrets.open_master(directory))
    monkeypatch.undo()
    again = proof_secrets.EpochKeys(proof_secrets.open_master(directory))
    assert first.of(56) == again.of(56) != again.of(57), "clients hold nonces: what was founded stays"


@pytest.mark.skipif(softhsm_module() is None, reason="SoftHSM is not installed: Debian package softhsm2")
def test_a_key_inside_a_token_makes_the_keys_of_years(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SoftHSM reads its configuration once a process, so the token is made and used in others."""
    import subprocess
    import sys

    directory = founded(tmp_path)
    program = (
        "import sys; from pathlib import Path; from ringfence.daemons.proof_secrets import *\n"
        "keys = EpochKeys(open_master(Path(sys.argv[1]))); print(keys.of(56).hex(), keys.of(57).hex())"
    )

    def keys() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", program, str(directory)], capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    first = keys()
    assert len(set(first)) == 2
    assert keys() == first
    # Cut short while it was made: nobody has seen a key of it, so it is made anew.
    (directory / "proofs" / "token" / "made").unlink()
    assert keys() != first
    files = [path.read_bytes() for path in (directory / "proofs" / "token").rglob("*") if path.is_file()]
    assert not any(bytes.fromhex(first[0]) in raw for raw in files)
    monkeypatch.setattr(proof_secrets, "softhsm_module", lambda: None)
    with pytest.raises(ValueError, match="made by SoftHSM, which is not installed"):
        proof_secrets.open_master(directory)


@pytest.mark.parametrize(
    ("text", "why"),
    [("{", "cannot be read"), ('{"weekday": [1]}', "unknown field"), ('{"weekdays": [9]}', "weekdays are numbers"),
     ('{"time": "noon"}', "time data"), ('{"opened": 0}', "at least 1")],
)  # fmt: skip
def test_a_schedule_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "proofs.json").write_text(text)
    with pytest.raises(ValueError, match=why):
        read_schedule(tmp_path)


# ---- the desk


def desk() -> Desk:
    equities = np.zeros((8, 4), np.int64)
    equities[0] = [0, 500, -7, 9]
    found = Desk()
    found.newest = Opened(
        snapshot=3, folder="000003", height=100, created="2026-11-24T12:00:00.000Z", equities=equities,
        names=Names(EPOCH_KEY, ["", "alice"]), seeds={"XBt": b"s" * 32}, totals={"XBt": "509"},
        owners={"XBt": np.array([1, 1, 3], np.int64)}, places={"XBt": np.array([7, 4, 0], np.int64)},
    )  # fmt: skip
    return found


def test_the_desk_tells_what_opens_an_accounts_leaves() -> None:
    said = msgspec.json.decode(desk().answer(b'{"account": 1, "currency": "XBt"}'), type=Answer)
    nonce = account_nonce(EPOCH_KEY, "XBt", 1)
    assert (said.balance, said.login, said.total, said.folder) == ("500", "alice", "509", "000003")
    assert said.leaves == (4, 7)
    assert said.account_nonce == nonce.hex()
    assert said.nonce == sub_nonce(nonce, 100, 1).hex()
    assert said.snapshot_key == snapshot_key(nonce, b"s" * 32, 1).hex()


def test_who_owes_is_owed_nothing_and_who_has_no_name_is_called_by_number() -> None:
    said = msgspec.json.decode(desk().answer(b'{"account": 2, "currency": "XBt"}'), type=Answer)
    assert (said.balance, said.login) == ("0", "account-2")


@pytest.mark.parametrize(
    ("line", "why"),
    [(b'{"account": 4, "currency": "XBt"}', "opened after the newest snapshot"),
     (b'{"account": 0, "currency": "XBt"}', "opened after"), (b'{"account": -1, "currency": "XBt"}', "opened after"),
     (b'{"account": 1, "currency": "Gwei"}', "no snapshot of Gwei"), (b'{"account": "1"}', "Expected `int`"),
     (b"{", "truncated"), (b"\xff", "invalid"), (b"[]", "Expected `object`")],
)  # fmt: skip
def test_the_desk_says_what_is_wrong_with_a_question(line: bytes, why: str) -> None:
    said = msgspec.json.decode(desk().answer(line))
    assert why.lower() in said["error"].lower()


def test_before_the_first_snapshot_the_desk_has_nothing() -> None:
    assert b"no snapshot of XBt" in Desk().answer(b'{"account": 1, "currency": "XBt"}')


# ---- what is replayed must be what was committed to


@pytest.mark.parametrize(
    ("what", "why"),
    [("equities", "what is owed in XBt"), ("coins", "the claims of all accounts"), ("root", "the accounts' root"),
     ("line", "what accounts owe in XBt"), ("nothing", "")],
)  # fmt: skip
def test_a_minute_that_replays_to_something_else_is_not_opened(tmp_path: Path, what: str, why: str) -> None:
    operator = Operator(tmp_path)
    operator.trade(20)
    line, claims, root = operator.minute(), operator.claims(), operator.root()
    accounts_root = root.accounts_root
    if what == "equities":
        claims.equities[0, 2] += 1
    if what == "coins":
        coins = claims.coins.copy()
        coins[1, 3] -= 1
        claims = claims._replace(coins=coins)
    if what == "root":
        accounts_root = os.urandom(32)
    if what == "line":
        owed, _, held = line.totals["XBt"]
        line = msgspec.structs.replace(line, totals={**line.totals, "XBt": (owed, "5", held)})
    if what == "nothing":
        _check(line, claims, root, EPOCH_KEY, accounts_root)
        return
    with pytest.raises(DifferentError, match=rf"minute 0: {why}.*committed to .*, the journal gives"):
        _check(line, claims, root, EPOCH_KEY, accounts_root)


def test_the_tree_of_a_line_is_that_of_its_claims(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    for _ in range(4):
        operator.trade()
        line = operator.minute()
        fresh = ClaimsTree(EPOCH_KEY)
        fresh.update(operator.claims())
        assert line.accounts == fresh.root.hex()


# ---- the work beside each other


async def test_minutes_go_on_while_a_snapshot_waits_for_its_block(tmp_path: Path) -> None:
    """On the main chain a block takes ten minutes, and a minute without a line could be any."""
    directory = founded(tmp_path)
    (directory / "proofs" / "private").mkdir()
    keys = proof_secrets.EpochKeys(proof_secrets.FileMaster(b"k" * 32))
    prover = Prover(
        directory, proof_secrets.load_publisher(directory), keys, Schedule(), chains=None, rpc=None
    )
    block, lines = asyncio.Event(), 0

    async def publish() -> None:
        await block.wait()

    async def commit(because: str) -> None:
        nonlocal lines
        assert because == "minute"
        lines += 1

    prover._publish = publish  # type: ignore[method-assign]
    prover._commit = commit  # type: ignore[method-assign]
    (directory / "proofs" / "asked").touch()
    for _ in range(5):
        prover._next_minute = 0.0
        await asyncio.wait_for(prover.look(), 5)
    assert lines == 5
    assert prover._long is not None
    assert not prover._long.done()
    block.set()
    await prover._long
