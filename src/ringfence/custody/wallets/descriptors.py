"""Who may spend, in the script itself: two of operations AND one of policy; later, three of recovery.

No software of ours is asked when a coin moves: every node of the network refuses a spend that the script does
not allow. Both libraries (bdk, embit) have to derive the same script from the same descriptor.
"""

import re
from enum import IntEnum
from typing import Any, NamedTuple

import bdkpython
from embit.descriptor import Descriptor as EmbitDescriptor

NUMS = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"
"""BIP341's point that nobody has the key of, so that no single key can spend past the scripts: the x-coordinate
of SHA256 of the uncompressed generator of secp256k1."""
OPERATIONS, OPERATIONS_NEEDED = 3, 2
POLICY, POLICY_NEEDED = 2, 1
RECOVERY, RECOVERY_NEEDED = 5, 3
RECOVERY_BLOCKS = 26_280
"""Half a year. Coins have to be moved before they are as old."""
RECOVERY_BLOCKS_MAX = 65_535
"""BIP68 has no more bits."""
_KEY = re.compile(r"\[[0-9a-f]{8}(?:/\d+[h'])*\](?:xpub|tpub)[1-9A-HJ-NP-Za-km-z]{107}")
_COLD = re.compile(
    r"tr\(([0-9a-f]{64}),\{and_v\(v:multi_a\((\d+),([^()]*)\),multi_a\((\d+),([^()]*)\)\),"
    r"and_v\(v:multi_a\((\d+),([^()]*)\),older\((\d+)\)\)\}\)(?:#[a-z0-9]{8})?"
)
_BRANCHES = "/<0;1>/*"


class DescriptorError(ValueError):
    """A descriptor is not the kind that we keep coins with. Nothing was derived from it."""


class Keychain(IntEnum):
    """What an address is for, by its place in the derivation path."""

    RECEIVE = 0
    CHANGE = 1


class ColdPolicy(NamedTuple):
    """Who may spend. Keys are public: `[fingerprint/path]xpub`."""

    operations: tuple[str, ...]
    policy: tuple[str, ...]
    recovery: tuple[str, ...]
    recovery_blocks: int = RECOVERY_BLOCKS

    def descriptor(self) -> str:
        """Return the descriptor of both keychains, without a checksum. Raises DescriptorError."""
        _check_keys(self)

        def keys(group: tuple[str, ...]) -> str:
            # multi_a keeps the order and bdk knows no sortedmulti_a, so we sort: one set, one script.
            return ",".join(key + _BRANCHES for key in sorted(group))

        main = (
            f"and_v(v:multi_a({OPERATIONS_NEEDED},{keys(self.operations)}),"
            f"multi_a({POLICY_NEEDED},{keys(self.policy)}))"
        )
        recovery = f"and_v(v:multi_a({RECOVERY_NEEDED},{keys(self.recovery)}),older({self.recovery_blocks}))"
        return f"tr({NUMS},{{{main},{recovery}}})"


def parse_cold(descriptor: str) -> ColdPolicy:
    """Return whom a descriptor lets spend. Raises DescriptorError unless it is of our one form.

    An internal key that is not NUMS would let its owner spend alone, and looks much the same.
    """
    found = _COLD.fullmatch(descriptor)
    if found is None:
        raise DescriptorError("not of the form of a cold wallet")
    internal, ops_needed, ops, pol_needed, pol, rec_needed, rec, blocks = found.groups()
    if internal != NUMS:
        raise DescriptorError(f"the internal key is {internal}, not the NUMS point: somebody may spend alone")
    needed = (int(ops_needed), int(pol_needed), int(rec_needed))
    if needed != (OPERATIONS_NEEDED, POLICY_NEEDED, RECOVERY_NEEDED):
        raise DescriptorError(f"the quorums are {needed}")
    groups = []
    for group in (ops, pol, rec):
        keys = group.split(",")
        if any(not key.endswith(_BRANCHES) for key in keys):
            raise DescriptorError("a key does not derive its addresses as the others do")
        groups.append(tuple(key.removesuffix(_BRANCHES) for key in keys))
    policy = ColdPolicy(groups[0], groups[1], groups[2], int(blocks))
    if policy.descriptor() != descriptor.partition("#")[0]:
        raise DescriptorError("the keys are not in their order")
    return policy


def _check_keys(policy: ColdPolicy) -> None:
    sizes = (len(policy.operations), len(policy.policy), len(policy.recovery))
    if sizes != (OPERATIONS, POLICY, RECOVERY):
        raise DescriptorError(f"{sizes} keys of operations, policy and recovery")
    keys = [*policy.operations, *policy.policy, *policy.recovery]
    for key in keys:
        if not _KEY.fullmatch(key):
            raise DescriptorError(f"{key[:30]}... is no public key with its origin")
    # The same key twice, under whatever origin, is one person with two votes.
    if len({key.partition("]")[2] for key in keys}) < len(keys):
        raise DescriptorError("a key is there twice")
    if not 1 <= policy.recovery_blocks <= RECOVERY_BLOCKS_MAX:
        raise DescriptorError(f"a recovery after {policy.recovery_blocks} blocks cannot be said")


class Deriver:
    """Scripts of a descriptor, each derived by two libraries that share no code."""

    def __init__(self, descriptor: str, network: bdkpython.Network) -> None:
        """Raises DescriptorError."""
        parse_cold(descriptor)
        is_main = network == bdkpython.Network.BITCOIN
        kind = bdkpython.NetworkKind.MAIN if is_main else bdkpython.NetworkKind.TEST
        try:
            both = bdkpython.Descriptor(descriptor, kind)
            self.by_keychain: list[Any] = both.to_single_descriptors()
            self._other: Any = EmbitDescriptor.from_string(descriptor.partition("#")[0])
        except Exception as error:
            raise DescriptorError(f"a library does not read the descriptor: {error}") from error
        self._network = network

    def script(self, keychain: Keychain, index: int) -> bytes:
        """Return a script. Raises DerivationError if the libraries do not agree."""
        address = self.by_keychain[keychain].derive_address(index, self._network)
        script = bytes(address.script_pubkey().to_bytes())
        again = self.script_again(keychain, index)
        if script != again:
            raise DerivationError(keychain, index, script, again)
        return script

    def script_again(self, keychain: Keychain, index: int) -> bytes:
        """Return a script as the second library alone derives it: what a verifier asks."""
        derived = self._other.derive(index, branch_index=int(keychain))
        return bytes(derived.script_pubkey().data)

    def address(self, script: bytes) -> str:
        return str(bdkpython.Address.from_script(bdkpython.Script(script), self._network))


class DerivationError(Exception):
    """Two libraries derive different scripts. Show no address: coins sent to it might be nobody's."""

    def __init__(self, keychain: Keychain, index: int, one: bytes, other: bytes) -> None:
        super().__init__(f"{keychain.name} {index}: {one.hex()} and {other.hex()}; no address was given out")
