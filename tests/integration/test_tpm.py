"""A real TPM in software: what a counter, a quote and a sealed PIN hold, and what swtpm does not protect."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ringfence.custody.hsm.tpm import Tpm, TpmError, check_quote
from ringfence.testing.tpm import SoftwareTpm, can_run

pytestmark = pytest.mark.skipif(
    not can_run(), reason="no TPM in software: Debian packages swtpm and tpm2-tools"
)
GOOD, OTHER = "ab" * 32, "cd" * 32
NONCE = bytes(range(32))


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[Tpm]:
    with SoftwareTpm(tmp_path / "state") as found:
        yield found


def test_a_counter_only_grows_and_outlives_its_tpm(tmp_path: Path) -> None:
    with SoftwareTpm(tmp_path / "state") as tpm:
        counter, log = tpm.counter(1), tpm.counter(2)
        first = counter.value()
        assert [counter.increment() for _ in range(3)] == [first + 1, first + 2, first + 3]
        assert log.value() >= 1
        with pytest.raises(TpmError):
            tpm._run("nvwrite", "-C", "o", "0x1500001", "-i", "-", given=bytes(8))
    with SoftwareTpm(tmp_path / "state") as tpm:
        assert tpm.counter(1).value() == first + 3


def test_a_counter_that_is_made_anew_goes_on_above_the_old_one(tpm: Tpm) -> None:
    before = tpm.counter(1).increment()
    tpm._run("nvundefine", "-C", "o", "0x1500001")
    assert tpm.counter(1).value() > before


def test_a_quote_is_of_these_files_this_tpm_and_this_nonce(tpm: Tpm, tmp_path: Path) -> None:
    key = tpm.attestation_key()
    assert key == tpm.attestation_key()
    tpm.measure(GOOD)
    quote = tpm.quote(NONCE)
    check_quote(quote, key, nonce=NONCE, digest=GOOD)
    with pytest.raises(TpmError, match="replay"):
        check_quote(quote, key, nonce=bytes(32), digest=GOOD)
    with pytest.raises(TpmError, match="other files"):
        check_quote(quote, key, nonce=NONCE, digest=OTHER)
    with SoftwareTpm(tmp_path / "another") as another:
        another.attestation_key()
        another.measure(GOOD)
        with pytest.raises(TpmError, match="not signed by the TPM"):
            check_quote(another.quote(NONCE), key, nonce=NONCE, digest=GOOD)
    tpm._run("pcrextend", f"23:sha256={OTHER}")
    with pytest.raises(TpmError, match="other files"):
        check_quote(tpm.quote(NONCE), key, nonce=NONCE, digest=GOOD)


def test_every_changed_byte_of_a_quote_is_noticed(tpm: Tpm) -> None:
    key = tpm.attestation_key()
    tpm.measure(GOOD)
    quote = tpm.quote(NONCE)
    raw = bytes.fromhex(quote.message)
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(TpmError):
            check_quote(msgspec.structs.replace(quote, message=changed.hex()), key, nonce=NONCE, digest=GOOD)
    for signature in ("", "zz", "00" * 70):
        with pytest.raises(TpmError):
            check_quote(msgspec.structs.replace(quote, signature=signature), key, nonce=NONCE, digest=GOOD)


def test_a_pin_is_given_out_for_the_right_files_alone(tmp_path: Path) -> None:
    with SoftwareTpm(tmp_path / "state") as tpm:
        tpm.measure(GOOD)
        tpm.seal(b"1234")
        assert tpm.unseal() == b"1234"
        tpm.measure(OTHER)
        with pytest.raises(TpmError, match="files were changed"):
            tpm.unseal()
    with SoftwareTpm(tmp_path / "state") as tpm:
        with pytest.raises(TpmError):
            tpm.unseal()
        tpm.measure(GOOD)
        assert tpm.unseal() == b"1234"


def test_without_a_tpm_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(TpmError, match="tpm2_"):
        Tpm(f"swtpm:path={tmp_path}/nobody").attestation_key()


def test_swtpm_is_for_development_a_copy_of_its_state_sets_the_counter_back(tmp_path: Path) -> None:
    """Ships as a test, so that nobody believes that swtpm protects; a chip has no file to bring back."""
    state = tmp_path / "state"
    with SoftwareTpm(state) as tpm:
        before = tpm.counter(1).increment()
    shutil.copytree(state, tmp_path / "copy")
    with SoftwareTpm(state) as tpm:
        assert tpm.counter(1).increment() == before + 1
    shutil.rmtree(state)
    shutil.copytree(tmp_path / "copy", state)
    with SoftwareTpm(state) as tpm:
        assert tpm.counter(1).value() == before
