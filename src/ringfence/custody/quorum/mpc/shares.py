"""Where a co-signer keeps its shares of keys: on its disk, under keys that only its HSM has.

| in the folder  |                                                                              |
|----------------|------------------------------------------------------------------------------|
| manifest       | which epoch of which key is in force, sealed by the HSM, with its generation |
| KEY.EPOCH      | a share under a data key, which the HSM has sealed for that key and epoch    |

Each epoch of a key has an HSM key of its own. To forget an epoch is to destroy that: then no copy of the file, wherever
it is, can be opened any more. The generation of the manifest is a monotonic counter's: a folder that is brought back
from a copy is older than the counter, and is refused.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ringfence.chained_log import Counter
from ringfence.custody.hsm import HsmError, Token
from ringfence.files import replace

MANIFEST = "manifest"
_NONCE_BYTES, _DATA_KEY_BYTES = 12, 32


class ShareError(Exception):
    """A share is not what was kept, or is not in force. Nothing was signed with it."""


class Kept(msgspec.Struct, frozen=True):
    """One epoch of one key at this co-signer."""

    key: str
    epoch: int
    is_in_force: bool
    """Otherwise it waits until every party has its part."""
    banned: tuple[str, ...] = ()
    """With whom nothing may be run in this epoch any more."""


class _Manifest(msgspec.Struct, frozen=True):
    generation: int
    kept: tuple[Kept, ...]


class ShareVault:
    """Shares of one co-signer."""

    def __init__(self, folder: Path, token: Token, counter: Counter, *, party: str) -> None:
        """Raises ShareError, HsmError, CounterError, OSError."""
        self._folder, self._token, self._counter, self._party = folder, token, counter, party
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not token.has_secret(MANIFEST):
            if counter.value() or (folder / MANIFEST).exists():
                raise ShareError("the token has lost the key of the shares' manifest")
            token.generate_secret(MANIFEST)
        self._kept = self._read()
        self._sweep()

    # ---- asking

    def in_force(self, key: str) -> Kept | None:
        return next((one for one in self._kept if one.key == key and one.is_in_force), None)

    def waiting(self, key: str) -> Kept | None:
        """Return the epoch that waits to come into force."""
        return next((one for one in self._kept if one.key == key and not one.is_in_force), None)

    def share(self, kept: Kept) -> bytes:
        """Return a share. Raises ShareError, HsmError, OSError."""
        if kept not in self._kept:
            raise ShareError(f"epoch {kept.epoch} of {kept.key} is not kept here")
        raw = self._path(kept).read_bytes()
        size = int.from_bytes(raw[:2], "big")
        sealed, content = raw[2 : 2 + size], raw[2 + size :]
        bound = self._bound(kept.key, kept.epoch)
        data_key = self._token.unseal(_label(kept.key, kept.epoch), sealed, bound_to=bound)
        try:
            return AESGCM(data_key).decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], bound)
        except (InvalidTag, ValueError) as error:
            raise ShareError(f"the share of epoch {kept.epoch} of {kept.key} was changed") from error

    # ---- changing

    def keep(self, key: str, epoch: int, share: bytes) -> Kept:
        """Keep a share that is not in force yet, in the place of another that waits."""
        before = self.in_force(key)
        if epoch != (before.epoch + 1 if before else epoch) or epoch < 1:
            raise ShareError(f"epoch {epoch} of {key} does not follow")
        older = self.waiting(key)
        if older is not None:
            self.forget(older)
        kept, label = Kept(key, epoch, is_in_force=False), _label(key, epoch)
        self._token.destroy_secret(label)  # of a run that was cut short before the manifest knew of it
        self._token.generate_secret(label)
        data_key, bound = self._token.random(_DATA_KEY_BYTES), self._bound(key, epoch)
        nonce = self._token.random(_NONCE_BYTES)
        sealed = self._token.seal(label, data_key, bound_to=bound)
        content = nonce + AESGCM(data_key).encrypt(nonce, share, bound)
        replace(self._path(kept), len(sealed).to_bytes(2, "big") + sealed + content)
        self._write((*self._kept, kept))
        return kept

    def adopt(self, key: str, epoch: int) -> None:
        """Put the epoch that waits into force and forget the one before. The same again changes nothing."""
        before, after = self.in_force(key), self.waiting(key)
        if after is None or after.epoch != epoch:
            if before is not None and before.epoch == epoch:
                return
            raise ShareError(f"epoch {epoch} of {key} does not wait here")
        adopted = msgspec.structs.replace(after, is_in_force=True)
        self._write((*(one for one in self._kept if one not in (before, after)), adopted))
        self._sweep()

    def forget(self, kept: Kept) -> None:
        """Forget an epoch for ever."""
        self._write(tuple(one for one in self._kept if one != kept))
        self._sweep()

    def ban(self, key: str, name: str) -> None:
        """Run nothing with somebody in the epoch that is in force: it has cheated in a way that leaks."""
        before = self.in_force(key)
        if before is not None and name not in before.banned:
            after = msgspec.structs.replace(before, banned=tuple(sorted((*before.banned, name))))
            self._write(tuple(after if one == before else one for one in self._kept))

    # ---- on the disk

    def _read(self) -> tuple[Kept, ...]:
        counted, path = self._counter.value(), self._folder / MANIFEST
        if not path.exists():
            if counted:
                raise ShareError("the shares' manifest is gone")
            return ()
        try:
            raw = self._token.unseal(MANIFEST, path.read_bytes(), bound_to=self._bound(MANIFEST, 0))
            found = msgspec.json.decode(raw, type=_Manifest)
        except (HsmError, msgspec.MsgspecError) as error:
            raise ShareError(f"the shares' manifest is not what was written: {error}") from error
        if found.generation < counted:
            raise ShareError(
                f"the shares are of generation {found.generation}, the counter has {counted}: an old copy was brought "
                "back"
            )
        while counted < found.generation:  # it was written, and not counted yet
            counted = self._counter.increment()
        return found.kept

    def _write(self, kept: tuple[Kept, ...]) -> None:
        """Write the manifest, then count it: what is cut short between is counted at the next start."""
        manifest = _Manifest(self._counter.value() + 1, kept)
        sealed = self._token.seal(MANIFEST, msgspec.json.encode(manifest), bound_to=self._bound(MANIFEST, 0))
        replace(self._folder / MANIFEST, sealed)
        self._counter.increment()
        self._kept = kept

    def _sweep(self) -> None:
        """Destroy what no line of the manifest is about."""
        wanted = {_label(one.key, one.epoch) for one in self._kept}
        for label in self._token.secret_labels():
            if label not in (*wanted, MANIFEST):
                self._token.destroy_secret(label)
        names = {self._path(one) for one in self._kept}
        for path in self._files():
            if path not in names:
                path.unlink()

    def _files(self) -> Iterator[Path]:
        return (path for path in self._folder.iterdir() if path.name != MANIFEST and path.is_file())

    def _path(self, kept: Kept) -> Path:
        return self._folder / f"{kept.key}.{kept.epoch}"

    def _bound(self, key: str, epoch: int) -> bytes:
        return json.dumps(["ringfence share", self._party, key, epoch]).encode()


def _label(key: str, epoch: int) -> str:
    return f"share.{key}.{epoch}"
