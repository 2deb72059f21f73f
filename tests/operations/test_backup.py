"""Backups of a real exchange under load: taken, altered, refused, restored, proven, traded on."""

import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ringfence.chained_log import FileLines
from ringfence.database.addresses import Addresses, write
from ringfence.database.stores import move_into_database
from ringfence.exchange.engine import Engine
from ringfence.exchange.sequencer import snapshots
from ringfence.exchange.users.key_table import move_keys_into_database
from ringfence.exchange.users.keys import read_records
from ringfence.operations.backup import (
    BackupError,
    MissingError,
    ProofError,
    RecoveryError,
    check_objects,
    create,
    manifests,
    open_store,
    read_manifest,
    restore,
)
from ringfence.operations.backup import taking as taking_module
from ringfence.operations.backup.recovery import open_with
from ringfence.testing.client import Client
from ringfence.testing.traders import Trader, check, wait_enough
from ringfence.testing.venue import Venue
from tests.integration.test_log_storage import accounts_database, log_of, needs_postgres

TRADERS = 3
Identities = list[str]


class Kept:
    """A store with two backups of an exchange that traded meanwhile, and what the traders were told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        keys = [pyrage.x25519.Identity.generate() for _ in range(3)]
        self.identities: Identities = [str(key) for key in keys]
        self.recipients = [str(key.to_public()) for key in keys]
        self.venue = Venue(folder / "exchange", accounts=TRADERS)
        stop = threading.Event()
        with self.venue:
            self.traders = [Trader(self.venue.port, account, stop) for account in range(1, TRADERS + 1)]
            for trader in self.traders:
                trader.start()
            wait_enough(self.traders)
            self.first = create(self.venue.directory, self.store, recipients=self.recipients)
            time.sleep(1.5)
            self.told = [dict(trader.acknowledged) for trader in self.traders]
            self.second = create(self.venue.directory, self.store)
            time.sleep(0.2)
            stop.set()
            for trader in self.traders:
                trader.join(30)
                assert trader.fault is None, trader.fault
                check(trader)
        self.public = Ed25519PublicKey.from_public_bytes(
            bytes.fromhex((self.venue.directory / "roots" / "venue.pub").read_text())
        )
        shutil.rmtree(self.venue.directory)  # the site is lost

    def restore(self, directory: Path, *identities: str, name: str = "") -> Any:
        chosen = identities or self.identities[:2]
        return restore(open_store(self.store, self.public), directory, identities=chosen, name=name)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("backup"))


def test_an_exchange_that_is_lost_trades_on_from_its_backup(kept: Kept, tmp_path: Path) -> None:
    restored = kept.restore(tmp_path / "again")
    made = restored.manifest
    assert made == kept.second.manifest
    assert restored.proved.states == 1
    assert restored.proved.roots == made.roots > 1
    newest = snapshots(tmp_path / "again")[0]
    assert Engine.load(newest).digest().hex() == made.engine_digest
    venue = Venue(tmp_path / "again", accounts=TRADERS)
    for name in ("core", "history", "gateway"):
        venue.start(name)
    try:
        venue.wait_ready()
        for trader, told in zip(kept.traders, kept.told, strict=True):
            client = Client(venue.port, trader.client.account)
            rows: list[dict[str, Any]] = []
            while page := client.get(f"/order?count=500&start={len(rows)}"):
                rows += page
            # What was acknowledged before the backup began is there: the recovery point is the backup.
            assert told.keys() <= {row["clOrdID"] for row in rows}
            assert client.place(orderQty=100, price=9_000, clOrdID="after").status == 200
    finally:
        venue.__exit__(None, None, None)
    print(f"{restored.proved.commands} slots, opened {restored.opened_seconds:.2f} s, replayed "
          f"{restored.replayed_seconds:.2f} s")  # fmt: skip


def test_any_two_of_three_keys_open_it_and_one_does_not(kept: Kept, tmp_path: Path) -> None:
    recovery = open_store(kept.store, kept.public).recovery
    first, second, third = kept.identities
    opened = {open_with(recovery, pair) for pair in ([first, second], [third, first], [second, third])}
    assert len(opened) == 1
    stranger = str(pyrage.x25519.Identity.generate())
    for few in ([first], [second], [third], [first, first], [first, stranger]):
        with pytest.raises(RecoveryError, match="2 different recovery keys"):
            kept.restore(tmp_path / "again", *few)
    assert not (tmp_path / "again").exists()
    # Nor does one key open anything by itself, whatever layer is tried.
    import base64

    for number, one in enumerate(kept.identities):
        for group, text in recovery.sealed.items():
            raw = base64.b64decode(text)
            identity = pyrage.x25519.Identity.from_str(one)
            if group.startswith(str(number)):
                raw = bytes(pyrage.decrypt(raw, [identity]))
                assert b"AGE-SECRET-KEY" not in raw
            with pytest.raises(pyrage.DecryptError):
                pyrage.decrypt(raw, [identity])


def _check(store: Path, kept: Kept, name: str = "") -> None:
    opened = open_store(store, kept.public)
    check_objects(opened, read_manifest(opened, name)[0])


def test_every_file_that_is_flipped_is_refused_by_name(kept: Kept, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(kept.store, store)
    newest = manifests(store)[-1]
    manifest, _ = read_manifest(open_store(store, kept.public), newest)
    paths = [store / "recovery.json", store / f"{newest}.manifest"]
    paths += [store / "objects" / file.object for file in manifest.files]
    for path in paths:
        raw = path.read_bytes()
        for at in {0, len(raw) // 2, len(raw) - 1}:
            path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
            with pytest.raises(BackupError, match=path.name):
                _check(store, kept)
        path.write_bytes(raw[:-1])
        with pytest.raises(BackupError, match=path.name):
            _check(store, kept)
        path.unlink()
        with pytest.raises((BackupError, MissingError), match=path.stem):
            _check(store, kept, newest)
        path.write_bytes(raw)
    opened = open_store(store, kept.public)
    inside = open_with(opened.recovery, kept.identities[1:])
    assert check_objects(opened, read_manifest(opened)[0], identity=inside).objects == len(manifest.files)


def test_a_store_of_another_exchange_is_refused(kept: Kept) -> None:
    with pytest.raises(
        BackupError, match=r"recovery\.json is not what the exchange with this key has signed"
    ):
        open_store(kept.store, Ed25519PrivateKey.generate().public_key())


def test_one_backup_does_not_pass_for_another(kept: Kept, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(kept.store, store)
    old, new = manifests(store)
    shutil.copy(store / f"{old}.manifest", store / f"{new}.manifest")
    with pytest.raises(BackupError, match=new):
        read_manifest(open_store(store, kept.public), new)


def test_an_older_backup_is_restored_by_name(kept: Kept, tmp_path: Path) -> None:
    restored = kept.restore(tmp_path / "again", name=kept.first.manifest.name)
    assert restored.proved.sequence == kept.first.manifest.sequence < kept.second.manifest.sequence


def test_a_full_directory_is_left_alone(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "something").touch()
    with pytest.raises(BackupError, match="is not empty"):
        kept.restore(tmp_path / "again")
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["something"]


def test_no_secret_is_readable_in_a_store(kept: Kept) -> None:
    for path in kept.store.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert b"secret-1" not in raw
            assert b"AGE-SECRET-KEY" not in raw
            assert path.stat().st_mode & 0o077 == 0, path


def _restored(kept: Kept, folder: Path) -> Path:
    kept.restore(folder / "again")
    return folder / "again"


def test_a_replay_that_leads_elsewhere_is_no_restore(kept: Kept, tmp_path: Path) -> None:
    """A manifest that the exchange itself has signed wrongly: one bit of memory, and the digest is another one."""
    directory = _restored(kept, tmp_path)
    newest = snapshots(directory)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(taking_module, "_newest", lambda place, cut: _with_a_bit_flipped(Engine.load(newest)))
        create(directory, tmp_path / "store", recipients=kept.recipients)
    with pytest.raises(ProofError, match="the state is"):
        restore(open_store(tmp_path / "store", kept.public), tmp_path / "third", identities=kept.identities)
    assert not (tmp_path / "third").exists()


def _with_a_bit_flipped(engine: Engine) -> Engine:
    engine.state.margins["wallet"][1] ^= 1
    return engine


def test_a_second_backup_shares_full_segments(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is written again in small segments, so that there are full ones."""
    from ringfence.exchange.journal import Journal, RealDisk, read_frames

    directory = _restored(kept, tmp_path)
    frames = list(read_frames(RealDisk(directory / "journal")))
    shutil.rmtree(directory / "journal")
    journal = Journal(RealDisk(directory / "journal"), segment_bytes=1 << 16)
    for frame in frames:
        journal.append(frame.commands, timestamp_ns=frame.timestamp_ns)
    journal.close()
    first = create(directory, tmp_path / "store", recipients=kept.recipients)
    full = [file for file in first.manifest.files if file.is_full]
    assert len(full) > 1
    time.sleep(1.1)
    second = create(directory, tmp_path / "store")
    assert [file for file in second.manifest.files if file.is_full] == full
    assert second.new_bytes < first.new_bytes - sum(file.sealed_bytes for file in full) + 100_000
    again = restore(
        open_store(tmp_path / "store", kept.public), tmp_path / "third", identities=kept.identities
    )
    assert again.manifest.engine_digest == kept.second.manifest.engine_digest
    # A full segment that has changed since then is noticed, though its frames are a chain of their own.
    time.sleep(1.1)
    segment = sorted((directory / "journal").glob("*.journal"))[len(full) - 1]
    raw = bytearray(segment.read_bytes())
    raw[100] ^= 1
    segment.write_bytes(raw)
    from ringfence.exchange.journal import JournalError

    with pytest.raises((BackupError, JournalError)):
        create(directory, tmp_path / "store")


@needs_postgres
def test_what_postgresql_has_of_people_and_keys_comes_back_as_files(kept: Kept, tmp_path: Path) -> None:
    directory = _restored(kept, tmp_path)
    (directory / "accounts").mkdir()
    log, _ = log_of(FileLines(directory / "accounts" / "log.jsonl"))
    log.append("registered", {"user": "anna"}, now_ns=1)
    log.close()
    lines, keys = (directory / "accounts" / "log.jsonl").read_bytes(), read_records(directory / "keys.json")
    write(directory / "database.url", Addresses({"": accounts_database()}))
    move_into_database(directory)
    move_keys_into_database(directory)
    assert not (directory / "keys.json").exists()
    assert not (directory / "accounts" / "log.jsonl").exists()
    create(directory, tmp_path / "store", recipients=kept.recipients)
    again = tmp_path / "third"
    restore(open_store(tmp_path / "store", kept.public), again, identities=kept.identities)
    assert (again / "accounts" / "log.jsonl").read_bytes() == lines
    assert read_records(again / "keys.json") == keys
    assert sorted(path.name for path in (again / "accounts").iterdir()) == ["log.jsonl"]
    assert not (again / "database.url").exists()


@pytest.mark.slow
def test_the_command_line(kept: Kept, tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        command = [
            sys.executable,
            "-c",
            "from ringfence.cli import main; main()",
            "backup",
            *arguments,
            "--json",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    directory = _restored(kept, tmp_path)
    recipients = []
    for number in range(3):
        status, made = run("new-key", str(tmp_path / f"{number}.key"))
        assert status == 0
        assert (tmp_path / f"{number}.key").stat().st_mode & 0o077 == 0
        recipients += ["--recipient", made["recipient"]]
    store, public = str(tmp_path / "store"), str(directory / "roots" / "venue.pub")
    status, taken = run("create", store, "--directory", str(directory), *recipients)
    assert status == 0
    assert taken["engineDigest"] == kept.second.manifest.engine_digest
    assert run("verify", store, "--venue-key", public)[1]["ok"]
    one = ["--identity", str(tmp_path / "0.key")]
    status, said = run("restore", store, str(tmp_path / "third"), "--venue-key", public, *one)
    assert status == 65
    assert "2 different recovery keys" in said["message"]
    status, said = run(
        "restore",
        store,
        str(tmp_path / "third"),
        "--venue-key",
        public,
        *one,
        "--identity",
        str(tmp_path / "2.key"),
    )
    assert status == 0
    assert said["engineDigest"] == taken["engineDigest"]
    assert said["stateCompared"]
    assert run("restore", store, str(tmp_path / "third"), "--venue-key", public, *one)[0] == 65
    assert run("verify", str(tmp_path / "nothing"), "--venue-key", public)[0] == 66
