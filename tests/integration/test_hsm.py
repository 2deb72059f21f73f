"""A real PKCS#11 token: keys stay inside, wrong PINs are counted, and whatever is touched shows.

Each test is a process of its own: SoftHSM reads its configuration once, when its module is loaded.
"""

import multiprocessing
import shutil
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ringfence.custody.hsm import (
    Evidence,
    EvidenceError,
    FileCounter,
    HsmError,
    KeyMissingError,
    Lockout,
    Token,
    TokenLockedError,
    TokenMissingError,
    Witness,
    WrongPinError,
    check_evidence,
    protects,
    softhsm_module,
)
from ringfence.custody.hsm.token import IDENTITY, verifies
from ringfence.testing.tokens import PIN, make_token, module
from ringfence.testing.tpm import SoftwareTpm, can_run

pytestmark = pytest.mark.skipif(
    softhsm_module() is None or shutil.which("softhsm2-util") is None,
    reason="SoftHSM is not installed: Debian package softhsm2",
)
NOW = 10**18
DIGEST = bytes(range(32))


def in_own_process(story: Callable[[Path], None], folder: Path) -> None:
    """Run a story in a fresh process. Raises AssertionError with its traceback."""
    context = multiprocessing.get_context("spawn")
    said: multiprocessing.Queue[str] = context.Queue()
    process = context.Process(target=_tell, args=(story, folder, said))
    process.start()
    outcome = said.get(timeout=60)
    process.join(20)
    assert outcome == "", outcome


def _tell(story: Callable[[Path], None], folder: Path, said: "multiprocessing.Queue[str]") -> None:
    try:
        story(folder)
        said.put("")
    except BaseException:
        said.put(traceback.format_exc())


def _open(folder: Path, pin: str = PIN) -> Token:
    return Token(module(), "cosigner", pin, Lockout(folder / "lockout"))


# ---- keys


def _keys(folder: Path) -> None:
    make_token(folder, "cosigner")
    with _open(folder) as token:
        public = token.generate("cold-0")
        assert len(public) == 33
        for _ in range(20):
            signature = token.sign("cold-0", DIGEST)
            assert verifies(public, DIGEST, signature)
            # The lower half, always: Bitcoin relays no other.
            assert int.from_bytes(signature[32:], "big") * 2 < 2**256
        assert not verifies(public, DIGEST[::-1], signature)
        assert token.labels() == ["cold-0"]
        with pytest.raises(HsmError, match="already"):
            token.generate("cold-0")
        with pytest.raises(KeyMissingError, match="no key cold-1"):
            token.sign("cold-1", DIGEST)
        with pytest.raises(HsmError, match="32 bytes"):
            token.sign("cold-0", DIGEST[:-1])
        assert len({token.random(32) for _ in range(50)}) == 50
        assert "For development only" in protects(token.info)


def test_keys_are_made_inside_and_sign_as_bitcoin_wants_it(tmp_path: Path) -> None:
    in_own_process(_keys, tmp_path)


def _pins(folder: Path) -> None:
    make_token(folder, "cosigner")
    for attempt in range(1, 4):
        with pytest.raises(WrongPinError, match=f"{attempt} in a row"):
            _open(folder, "wrong")
    # SoftHSM itself would still open.
    with pytest.raises(TokenLockedError, match="after 3 wrong PINs"):
        _open(folder)
    (folder / "lockout").write_text("2")
    _open(folder).close()
    assert Lockout(folder / "lockout").failures == 0
    (folder / "lockout").write_text("many")
    with pytest.raises(TokenLockedError, match="cannot be read"):
        _open(folder)
    (folder / "lockout").unlink()
    with pytest.raises(TokenMissingError, match="no token is called other"):
        Token(module(), "other", PIN, Lockout(folder / "lockout"))
    with pytest.raises(TokenMissingError, match="cannot be loaded"):
        Token(folder / "none.so", "cosigner", PIN, Lockout(folder / "lockout"))


def test_three_wrong_pins_lock_it_although_softhsm_counts_none(tmp_path: Path) -> None:
    in_own_process(_pins, tmp_path)


# ---- evidence


def _evidence(folder: Path) -> None:
    files = make_token(folder, "cosigner")
    with _open(folder) as token:
        token.generate(IDENTITY)
        token.generate("cold-0")
        witness = Witness("ops-1", token, FileCounter(folder / "counter"), files=files)
        baseline = witness.enrol()
        token.sign("cold-0", DIGEST)
        shown = witness.show(nonce="n1", subject="tx", now_ns=NOW)
        asked = {"nonce": "n1", "subject": "tx", "highest_counter": 0, "now_ns": NOW}
        # Signing changes nothing that is measured.
        check_evidence(shown, baseline, **asked)  # type: ignore[arg-type]
        for changes, why in (
            ({"nonce": "n2"}, "replay"), ({"subject": "other"}, "replay"),
            ({"now_ns": NOW + 61 * 10**9}, "not fresh"), ({"now_ns": NOW - 6 * 10**9}, "not fresh"),
            ({"highest_counter": 1}, "an old copy was brought back"),
        ):  # fmt: skip
            with pytest.raises(EvidenceError, match=why):
                check_evidence(shown, baseline, **{**asked, **changes})  # type: ignore[arg-type]
        for field, value in (
            ("counter", 99), ("serial", "x"), ("token_digest", "00"), ("at_ns", NOW + 1), ("signature", "zz"),
            ("signature", "00" * 64), ("signer", "ops-2"),
        ):  # fmt: skip
            forged = msgspec.structs.replace(shown, **{field: value})
            with pytest.raises(EvidenceError):
                check_evidence(forged, baseline, **asked)  # type: ignore[arg-type]
        token.generate("cold-1")
        later = witness.show(nonce="n1", subject="tx", now_ns=NOW)
        with pytest.raises(EvidenceError, match="files are not those"):
            check_evidence(later, baseline, **asked)  # type: ignore[arg-type]


def test_evidence_is_of_this_token_now_and_for_this_and_nothing_else(tmp_path: Path) -> None:
    in_own_process(_evidence, tmp_path)


def _enrol(folder: Path) -> None:
    files = make_token(folder, "cosigner")
    with _open(folder) as token:
        token.generate(IDENTITY)
        token.generate("cold-0")
        witness = Witness("ops-1", token, FileCounter(folder / "counter"), files=files)
        (folder / "baseline").write_bytes(msgspec.json.encode(witness.enrol()._asdict() | {"identity": ""}))
        (folder / "identity").write_bytes(token.public_key(IDENTITY))


def _patch(folder: Path) -> int:
    """Make a key extractable and readable by changing bytes of its file, as anybody can who reads SoftHSM's files."""
    patched = 0
    for path in (folder / "tokens").glob("*/*.object"):
        raw = bytearray(path.read_bytes())
        if struct.pack(">QQQ", 0x0, 2, 3) not in raw:  # CKA_CLASS = CKO_PRIVATE_KEY
            continue
        for attribute, value in ((0x162, 0xFF), (0x103, 0x00)):  # EXTRACTABLE, SENSITIVE
            at = raw.find(struct.pack(">QQ", attribute, 1))
            if at >= 0:
                raw[at + 16] = value
                patched += 1
        path.write_bytes(raw)
    return patched


def _touched(folder: Path) -> None:
    import os

    from pkcs11 import Attribute, ObjectClass

    from ringfence.custody.hsm import Baseline

    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    known = msgspec.json.decode((folder / "baseline").read_bytes())
    baseline = Baseline(**{**known, "identity": (folder / "identity").read_bytes()})
    with _open(folder) as token:
        # The attack works: SoftHSM gives the key away ...
        key = token._session.get_key(ObjectClass.PRIVATE_KEY, label="cold-0")
        assert len(key[Attribute.VALUE]) == 32
        # ... the co-signer refuses to use it, and the others see that the files are not the enrolled ones.
        with pytest.raises(KeyMissingError, match="SENSITIVE, EXTRACTABLE"):
            token.sign("cold-0", DIGEST)
    assert baseline.token_digest != _measured(folder)


def _measured(folder: Path) -> str:
    from ringfence.custody.hsm import measure_directory

    return measure_directory(folder / "tokens")


def test_a_token_whose_files_were_changed_gives_its_key_away_and_is_found_out(tmp_path: Path) -> None:
    """Why SoftHSM's attributes prove nothing, and what does."""
    in_own_process(_enrol, tmp_path)
    assert _patch(tmp_path) >= 2
    in_own_process(_touched, tmp_path)


def test_a_counter_that_was_brought_back_is_seen_by_those_who_remember(tmp_path: Path) -> None:
    counter = FileCounter(tmp_path / "counter")
    assert [counter.increment() for _ in range(3)] == [1, 2, 3]
    copy = (tmp_path / "counter").read_bytes()
    assert counter.increment() == 4
    (tmp_path / "counter").write_bytes(copy)
    assert counter.increment() == 4  # the same number twice: not greater than the highest that the others saw


def test_a_founding_that_was_killed_is_made_anew_and_an_enrolled_token_never_is(tmp_path: Path) -> None:
    """Half a pair of keys could neither be used nor made again: every third killed founding was stuck for good."""
    sizes = '{"clients": [6, 6]}'
    words = [sys.executable, "-m", "ringfence.daemons.token_founding", str(tmp_path), "ops-1", sizes]
    for _ in range(3):
        process = subprocess.Popen(words)
        tokens = tmp_path / "tokens"
        while process.poll() is None and len(list(tokens.rglob("*.object"))) < 10:
            time.sleep(0.002)
        assert process.poll() is None, "it was done before it could be killed"
        process.kill()
        process.wait()
    subprocess.run(words, check=True)
    made = (tmp_path / "public.json").read_bytes()
    subprocess.run(words, check=True)
    assert (tmp_path / "public.json").read_bytes() == made
    (tmp_path / "charter.json").touch()
    (tmp_path / "public.json").unlink()
    keys = sorted(tokens.rglob("*.object"))
    refused = subprocess.run(words, check=False, capture_output=True, text=True)
    assert "it is not made anew" in refused.stderr
    assert sorted(tokens.rglob("*.object")) == keys


def evidence_with_a_tpm(folder: Path) -> None:
    files = make_token(folder, "ops-1")
    with Token(module(), "ops-1", PIN, Lockout(folder / "lockout")) as token:
        token.generate(IDENTITY)
        shown = []
        for _ in range(2):
            with SoftwareTpm(folder / "state") as tpm:
                witness = Witness("ops-1", token, tpm.counter(1), files=files, tpm=tpm)
                baseline = witness.enrol()
                shown.append(witness.show(nonce="n", subject="s", now_ns=NOW))
        assert shown[1].counter > shown[0].counter

        def check(evidence: Evidence) -> None:
            bare = msgspec.structs.replace(evidence, signature="")
            signed = msgspec.structs.replace(bare, signature=token.sign(IDENTITY, bare.digest).hex())
            check_evidence(signed, baseline, nonce="n", subject="s", highest_counter=0, now_ns=NOW)

        for evidence in shown:
            check(evidence)
        with pytest.raises(EvidenceError, match="its TPM has signed nothing"):
            check(msgspec.structs.replace(shown[0], quote=None))
        with pytest.raises(EvidenceError, match="another nonce"):
            check(msgspec.structs.replace(shown[0], quote=shown[1].quote))


@pytest.mark.skipif(not can_run(), reason="no TPM in software: Debian packages swtpm and tpm2-tools")
def test_evidence_carries_a_quote_also_after_the_tpm_was_restarted(tmp_path: Path) -> None:
    in_own_process(evidence_with_a_tpm, tmp_path)
