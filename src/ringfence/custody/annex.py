"""An annex to the charter: one more chain, whose coins lie under a key that nobody has."""

import msgspec

from ringfence.custody.policy import Policy
from ringfence.custody.quorum.messages import statement

Signatures = tuple[tuple[str, str], ...]
"""(person, signature), hexadecimal."""


HOT_SUFFIX = ":hot"
"""Of a chain's name: its coins under a key that nobody has, beside those under scripts."""


class AnnexAsset(msgspec.Struct, frozen=True):
    """One asset of a chain."""

    currency: str
    """As the ledger has it, e.g. `Gwei`."""
    contract: str
    """Address of the token's contract; empty for what the chain takes its fees in."""
    factor: int
    """How many of the chain's smallest units are one of the ledger's."""
    policy: Policy
    """The first version."""


class AnnexKey(msgspec.Struct, frozen=True):
    """A key of a chain; as in `Annex`."""

    key: str
    public_key: str
    chain_code: str


class Annex(msgspec.Struct, frozen=True):
    """One more chain, whose coins lie under a key that nobody has. People sign it.

    It never changes but in one way: another key may take the place of the one that is used, which is `left` then.
    """

    chain: str
    """As CAIP-2 has it, e.g. `eip155:1`."""
    key: str
    """Name of the key."""
    public_key: str
    """Compressed, hexadecimal; the same in every epoch."""
    chain_code: str
    """What addresses are derived with beside it (BIP32), hexadecimal; empty where they are derived without."""
    threshold: int
    """So many co-signers sign."""
    assets: tuple[AnnexAsset, ...]
    """The first is what the chain takes its fees in."""
    follow_from_height: int
    follow_from_block: str
    """Nothing of ours was on the chain at this block."""
    left: tuple[AnnexKey, ...] = ()
    """Keys that were used before, oldest first: what lies under them is moved away."""
    signatures: Signatures = ()
    """Of `digest`."""

    @property
    def digest(self) -> bytes:
        bare = msgspec.structs.replace(self, signatures=())
        return statement(b"annex", msgspec.json.encode(bare, order="sorted").decode())

    @property
    def keys(self) -> tuple[AnnexKey, ...]:
        """Return all keys, the one that is used last."""
        return (*self.left, AnnexKey(self.key, self.public_key, self.chain_code))

    def succeeds(self, before: "Annex") -> bool:
        """Return whether it is the one before, but for another key that takes the place of its own."""
        others = {one.public_key for one in before.keys} | {one.key for one in before.keys}
        as_before = msgspec.structs.replace(
            self, key=before.key, public_key=before.public_key, chain_code=before.chain_code,
            threshold=before.threshold, left=before.left, signatures=before.signatures,
        )  # fmt: skip
        is_new = self.public_key not in others and self.key not in others
        return as_before == before and self.left == before.keys and is_new

    @property
    def is_hot(self) -> bool:
        """Whether it is no other chain, but the small hot wallet beside Bitcoin's cold one."""
        return self.chain.endswith(HOT_SUFFIX)

    @property
    def native(self) -> AnnexAsset:
        return self.assets[0]

    def asset(self, currency: str) -> AnnexAsset:
        """Raises KeyError."""
        for one in self.assets:
            if one.currency == currency:
                return one
        raise KeyError(currency)
