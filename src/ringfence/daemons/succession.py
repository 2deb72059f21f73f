"""A chain gets another key: the annex with the new one, signed by people, brought to every co-signer."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ringfence.custody.annex import Annex, Signatures
from ringfence.custody.cosigner.config import Charter, check_annex
from ringfence.custody.quorum.messages import Attach, Standing
from ringfence.custody.quorum.mpc.keys import KeyRecord
from ringfence.daemons.account_chains import annex_path, read_annexes
from ringfence.daemons.ceremonies import CeremonyError, ask_all, check_all
from ringfence.files import replace


def signed_by(annex: Annex, people: Sequence[tuple[str, Ed25519PrivateKey]]) -> Signatures:
    return tuple((who, private.sign(annex.digest).hex()) for who, private in people)


async def take_over(
    directory: Path, charter: Charter, chain: str, record: KeyRecord, sign: Callable[[Annex], Signatures]
) -> Annex:
    """Return the annex of a chain with another key, as every co-signer has it.

    Raises CeremonyError, ConfigurationError, OSError.
    """
    before = next((one for one in read_annexes(directory, charter) if one.chain == chain), None)
    if before is None or before.is_hot:
        raise CeremonyError(
            f"no annex names {chain}, or it is the hot wallet's, which the cold one takes back"
        )
    bare = msgspec.structs.replace(
        before, key=record.name, public_key=record.public_key, chain_code=record.chain_code,
        threshold=record.threshold, left=before.keys, signatures=(),
    )  # fmt: skip
    if not bare.succeeds(before):
        raise CeremonyError(f"{record.name} was used for {chain} already")
    annex = msgspec.structs.replace(bare, signatures=sign(bare))
    check_annex(charter, annex)
    answers = await ask_all(directory, Attach(msgspec.json.encode(annex).decode()))
    check_all(answers, Standing, "some may have the new key already: ask again")
    replace(annex_path(directory, chain), msgspec.json.format(msgspec.json.encode(annex)))
    return annex
