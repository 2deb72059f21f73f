"""Who may spend, in the script itself: two of operations AND one of policy; later, three of recovery.

No software of ours is asked when a coin moves: every node of the network refuses a spend that the script does
not allow. The keys of operations and policy are made inside HSMs, one for every script: PKCS#11 knows no derivation
of keys, and signs ECDSA, so the script is of segwit version 0 (docs/decisions/0013). Those of recovery are derived
from five people's extended public keys.

Every script is made twice: by bdk from its miniscript, and by hand.
"""

import hashlib
from enum import IntEnum
from typing import NamedTuple

import bdkpython
import msgspec
from embit.bip32 import HDKey

OPERATIONS, OPERATIONS_NEEDED = 3, 2
POLICY, POLICY_NEEDED = 2, 1
RECOVERY, RECOVERY_NEEDED = 5, 3
RECOVERY_BLOCKS = 26_280
"""Half a year. Coins have to be moved before they are as old."""
RECOVERY_BLOCKS_MAX = 65_535
"""BIP68 has no more bits."""
KEY_BYTES = 33
WITNESS_SCRIPT_BYTES = 356
_IF, _ELSE, _ENDIF, _MULTI, _MULTI_VERIFY, _CSV = 0x63, 0x67, 0x68, 0xAE, 0xAF, 0xB2


class DescriptorError(ValueError):
    """A vault is not the kind that we keep coins with. Nothing was derived from it."""


class PoolEndError(LookupError):
    """The HSMs have no keys for that script yet. Nothing was given out; `ringfence up --coin-keys` makes more."""


class DerivationError(Exception):
    """Two ways give different scripts. Show no address: coins sent to it might be nobody's."""


class Keychain(IntEnum):
    """What a script is for."""

    RECEIVE = 0
    CHANGE = 1


def key_label(owner: str, keychain: Keychain, index: int) -> str:
    """Return what the key of a script is called in every HSM: `clients.receive.17`."""
    return f"{owner}.{keychain.name.lower()}.{index}"


class Pool(msgspec.Struct, frozen=True):
    """What one HSM has for one owner: public keys by index, 33 bytes each in hexadecimal."""

    signer: str
    receive: tuple[str, ...]
    change: tuple[str, ...]

    def keys(self, keychain: Keychain) -> tuple[str, ...]:
        return self.receive if keychain == Keychain.RECEIVE else self.change


class Vault(msgspec.Struct, frozen=True):
    """One owner's wallet, as it is registered under dual control; its digest is in every co-signer's configuration."""

    owner: str
    network: str
    """regtest, testnet, signet or main."""
    operations: tuple[Pool, ...]
    policy: tuple[Pool, ...]
    recovery: tuple[str, ...]
    """Extended public keys."""
    recovery_blocks: int = RECOVERY_BLOCKS

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        return hashlib.sha256(b"ringfence vault 1" + msgspec.json.encode(self, order="sorted")).hexdigest()

    def size(self, keychain: Keychain) -> int:
        """Return how many scripts all HSMs have keys for."""
        return min(len(pool.keys(keychain)) for pool in (*self.operations, *self.policy))

    def check(self) -> None:
        """Raises DescriptorError unless there are as many signers as the script wants and no key is there twice."""
        sizes = (len(self.operations), len(self.policy), len(self.recovery))
        if sizes != (OPERATIONS, POLICY, RECOVERY):
            raise DescriptorError(f"{sizes} holders of operations, policy and recovery")
        if not 1 <= self.recovery_blocks <= RECOVERY_BLOCKS_MAX:
            raise DescriptorError(f"a recovery after {self.recovery_blocks} blocks cannot be said")
        pools = (*self.operations, *self.policy)
        keys = [key for pool in pools for keychain in Keychain for key in pool.keys(keychain)]
        if any(len(key) != 2 * KEY_BYTES or key[:2] not in ("02", "03") for key in keys):
            raise DescriptorError("a key of a pool is no compressed public key")
        # The same key twice is one holder with two votes.
        if len(set(keys)) < len(keys) or len(set(self.recovery)) < RECOVERY:
            raise DescriptorError("a key is there twice")
        if len({pool.signer for pool in pools}) < len(pools):
            raise DescriptorError("a signer is there twice")
        for key in self.recovery:
            try:
                is_private = HDKey.from_string(key).is_private
            except Exception as error:
                raise DescriptorError(f"{key[:12]}... is no extended public key") from error
            if is_private:
                raise DescriptorError("a recovery key is private: it must not be here")


class Keys(NamedTuple):
    """The keys of one script, in the order in which they stand in it."""

    operations: tuple[bytes, ...]
    policy: tuple[bytes, ...]
    recovery: tuple[bytes, ...]


class Deriver:
    """Scripts of a vault."""

    def __init__(self, vault: Vault, network: bdkpython.Network) -> None:
        """Raises DescriptorError."""
        vault.check()
        self.vault, self._network = vault, network
        self._recovery = [HDKey.from_string(key) for key in vault.recovery]
        is_main = network == bdkpython.Network.BITCOIN
        self._kind = bdkpython.NetworkKind.MAIN if is_main else bdkpython.NetworkKind.TEST

    def keys(self, keychain: Keychain, index: int) -> Keys:
        """Return the keys of a script, sorted within each group: one set, one script. Raises PoolEndError."""
        if not 0 <= index < self.vault.size(keychain):
            label = key_label(self.vault.owner, keychain, index)
            raise PoolEndError(f"the tokens have no key {label} yet; an operator has to extend the pools")
        groups = [
            sorted(bytes.fromhex(pool.keys(keychain)[index]) for pool in pools)
            for pools in (self.vault.operations, self.vault.policy)
        ]
        people = sorted(bytes(key.derive([int(keychain), index]).key.sec()) for key in self._recovery)
        return Keys(tuple(groups[0]), tuple(groups[1]), tuple(people))

    def descriptor(self, keychain: Keychain, index: int) -> str:
        """Return the descriptor of one script, without a checksum."""
        operations, policy, recovery = (
            ",".join(key.hex() for key in group) for group in self.keys(keychain, index)
        )
        main = f"and_v(v:multi({OPERATIONS_NEEDED},{operations}),multi({POLICY_NEEDED},{policy}))"
        later = f"and_v(v:multi({RECOVERY_NEEDED},{recovery}),older({self.vault.recovery_blocks}))"
        return f"wsh(or_i({main},{later}))"

    def published(self, keychain: Keychain, index: int) -> str:
        """Return the same descriptor as a stranger is told it: recovery keys by who has them, and their path."""
        keys = self.keys(keychain, index)
        path = f"/{int(keychain)}/{index}"
        of = {
            bytes(key.derive([int(keychain), index]).key.sec()): text
            for key, text in zip(self._recovery, self.vault.recovery, strict=True)
        }
        recovery = ",".join(of[key] + path for key in keys.recovery)
        return self.descriptor(keychain, index).replace(
            ",".join(key.hex() for key in keys.recovery), recovery
        )

    def script(self, keychain: Keychain, index: int) -> bytes:
        """Return a script. Raises DerivationError if the two ways do not agree, PoolEndError."""
        try:
            of = bdkpython.Descriptor(self.descriptor(keychain, index), self._kind)
            script = bytes(of.derive_address(0, self._network).script_pubkey().to_bytes())
        except bdkpython.DescriptorError as error:
            raise DescriptorError(f"bdk does not read the descriptor: {error}") from error
        again = self.script_again(keychain, index)
        if script != again:
            raise DerivationError(keychain, index, script, again)
        return script

    def script_again(self, keychain: Keychain, index: int) -> bytes:
        """Return a script as it is made by hand: what a verifier asks."""
        return b"\0\x20" + hashlib.sha256(self.witness_script(keychain, index)).digest()

    def witness_script(self, keychain: Keychain, index: int) -> bytes:
        keys = self.keys(keychain, index)
        script = bytes((_IF,)) + _multi(OPERATIONS_NEEDED, keys.operations, _MULTI_VERIFY)
        script += _multi(POLICY_NEEDED, keys.policy, _MULTI) + bytes((_ELSE,))
        script += _multi(RECOVERY_NEEDED, keys.recovery, _MULTI_VERIFY)
        return script + _pushed(self.vault.recovery_blocks) + bytes((_CSV, _ENDIF))

    def address(self, script: bytes) -> str:
        return str(bdkpython.Address.from_script(bdkpython.Script(script), self._network))


def _multi(needed: int, keys: tuple[bytes, ...], opcode: int) -> bytes:
    pushed = b"".join(bytes((KEY_BYTES,)) + key for key in keys)
    return bytes((0x50 + needed,)) + pushed + bytes((0x50 + len(keys), opcode))


def _pushed(number: int) -> bytes:
    """Return the push of a small positive number, as Script has it: shortest, little end first, sign bit free."""
    if number <= 16:
        return bytes((0x50 + number,))
    raw = number.to_bytes((number.bit_length() + 8) // 8, "little")
    return bytes((len(raw),)) + raw


def satisfied(
    keys: Keys, signatures: dict[bytes, bytes], script: bytes, *, recovery: bool = False
) -> list[bytes]:
    """Return the witness of a spend by what signatures there are, whether or not they are enough.

    `signatures`: by public key, DER with the byte of the sighash type. The first of each group in the script's
    order are taken, no more than it wants. A node decides what the witness is worth.
    """
    if recovery:
        return [b"", *_first(keys.recovery, signatures, RECOVERY_NEEDED), b"", script]
    policy = _first(keys.policy, signatures, POLICY_NEEDED)
    return [b"", *policy, b"", *_first(keys.operations, signatures, OPERATIONS_NEEDED), b"\1", script]


def _first(keys: tuple[bytes, ...], signatures: dict[bytes, bytes], count: int) -> list[bytes]:
    return [signatures[key] for key in keys if key in signatures][:count]
