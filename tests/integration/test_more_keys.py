"""Pools that are extended: the keys that there were stay, what is new is enrolled, what was cut short goes on."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ringfence.custody.chains.bitcoin.rpc import BitcoinRpc
from ringfence.custody.demonstration import PLACES
from ringfence.custody.hsm import softhsm_module
from ringfence.custody.wallets.descriptors import Keychain, PoolEndError
from ringfence.custody.wallets.owners import Owner
from ringfence.daemons import custody_founding
from ringfence.daemons.custody_founding import FoundingError
from ringfence.daemons.token_founding import Public
from ringfence.testing.bitcoin import RunningNode
from ringfence.testing.tpm import SoftwareTpm, can_run

pytestmark = pytest.mark.skipif(
    softhsm_module() is None or shutil.which("softhsm2-util") is None,
    reason="SoftHSM is not installed: Debian package softhsm2",
)


def make(folder: Path, keys: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "ringfence.daemons.token_founding", str(folder), "ops-1"]
    sizes = f'{{"clients": [{keys}, {keys}]}}'
    return subprocess.run([*words, sizes], capture_output=True, text=True, timeout=60, check=False)


def made(folder: Path, keys: int) -> Public:
    done = make(folder, keys)
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode((folder / "public.json").read_bytes(), type=Public)


def test_a_token_keeps_its_keys_and_is_enrolled_anew(tmp_path: Path) -> None:
    first = made(tmp_path, 2)
    second = made(tmp_path, 4)
    for keychain in Keychain:
        keys = second.pools["clients"].keys(keychain)
        assert keys[:2] == first.pools["clients"].keys(keychain)
        assert len(set(keys)) == 4
    assert second.identity == first.identity
    assert second.keys_digest != first.keys_digest
    assert made(tmp_path, 3) == second


_TEAR = """
import sys
from pathlib import Path
from pkcs11 import Attribute, ObjectClass
from ringfence.custody.hsm import Lockout, Token, softhsm_module
from ringfence.daemons.token_founding import configure
folder = Path(sys.argv[1])
configure(folder)
with Token(softhsm_module(), "ops-1", (folder / "pin").read_text(), Lockout(folder / "lockout")) as token:
    whole, *_ = token._session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY})
    for label in ("", "clients.receive.2"):
        whole.copy({Attribute.LABEL: label, Attribute.TOKEN: True})
"""


def test_what_a_kill_has_left_of_a_pair_is_removed_before_it_goes_on(tmp_path: Path) -> None:
    """SoftHSM makes a pair in steps: an object without a name was left, and one without its private half."""
    first = made(tmp_path, 2)
    subprocess.run([sys.executable, "-c", _TEAR, str(tmp_path)], check=True, timeout=60)
    (tmp_path / "extending").touch()
    second = made(tmp_path, 4)
    assert second.pools["clients"].receive[:2] == first.pools["clients"].receive
    assert made(tmp_path, 4) == second


def test_a_token_that_is_not_what_was_enrolled_gets_no_keys(tmp_path: Path) -> None:
    first = made(tmp_path, 2)
    changed = msgspec.structs.replace(first, keys_digest="00" * 32)
    (tmp_path / "public.json").write_bytes(msgspec.json.encode(changed))
    assert "not what was enrolled" in make(tmp_path, 3).stderr


@pytest.mark.skipif(not can_run(), reason="no TPM in software: Debian packages swtpm and tpm2-tools")
def test_a_tpm_keeps_the_pin_for_the_new_files_also_after_a_crash(tmp_path: Path) -> None:
    folder = tmp_path / "token"
    folder.mkdir()
    with SoftwareTpm(tmp_path / "state") as tpm:
        (folder / "tpm").write_text(tpm.tcti)
        made(folder, 2)
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ringfence.daemons.token_founding",
                folder,
                "ops-1",
                '{"clients": [40, 40]}',
            ]
        )
        while not (folder / "extending").exists():
            assert process.poll() is None
        process.kill()
        process.wait()
        found = made(folder, 40)
        assert len(found.pools["clients"].receive) == 40
        assert not (folder / "pin").exists()
        assert not (folder / "extending").exists()
        tpm.measure(found.token_digest)
        assert tpm.unseal()


@pytest.fixture(scope="module")
def rpc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BitcoinRpc]:
    node = RunningNode(tmp_path_factory.mktemp("node"))
    yield node.rpc
    node.kill()


async def test_a_custody_with_more_keys_has_every_script_that_it_had(tmp_path: Path, rpc: BitcoinRpc) -> None:
    before = await custody_founding.found(tmp_path, rpc, clients_keys=2)
    derive = before.wallets().derivers[Owner.CLIENTS].script
    with pytest.raises(PoolEndError, match=r"no key clients\.receive\.2"):
        derive(Keychain.RECEIVE, 2)

    home = tmp_path / "custody"
    (home / "extending").write_text("3")  # a start that asked for three was killed before it had begun
    after = await custody_founding.found(tmp_path, rpc, clients_keys=2)
    again = after.wallets().derivers[Owner.CLIENTS].script
    assert [again(Keychain.RECEIVE, index) for index in range(2)] == [
        derive(Keychain.RECEIVE, index) for index in (0, 1)
    ]
    assert again(Keychain.CHANGE, 2)
    assert not (home / "extending").exists()
    copies = {(home / "cosigners" / name / "charter.json").read_bytes() for name in PLACES}
    assert copies == {(home / "charter.json").read_bytes()}
    assert after.roster() == before.roster()
    assert await custody_founding.found(tmp_path, rpc, clients_keys=2) == after

    publics = {
        name: msgspec.json.decode((home / "cosigners" / name / "public.json").read_bytes(), type=Public)
        for name in PLACES
    }
    lost = msgspec.structs.replace(
        publics["ops-2"], pools={**publics["ops-2"].pools, "clients": publics["ops-1"].pools["clients"]}
    )
    with pytest.raises(FoundingError, match="ops-2 has lost keys"):
        custody_founding.extended(after, {**publics, "ops-2": lost})
    with pytest.raises(FoundingError, match="ops-2 is another"):
        custody_founding.extended(after, {**publics, "ops-2": publics["ops-1"]})
