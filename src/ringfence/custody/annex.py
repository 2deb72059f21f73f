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


class Annex(msgspec.Struct, frozen=True):
    """One more chain, whose coins lie under a key that nobody has. People sign it; it never changes."""

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
    signatures: Signatures = ()
    """Of `digest`."""

    @property
    def digest(self) -> bytes:
        bare = msgspec.structs.replace(self, signatures=())
        return statement(b"annex", msgspec.json.encode(bare, order="sorted").decode())

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
