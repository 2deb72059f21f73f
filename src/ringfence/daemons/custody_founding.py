"""Founds custody on one machine, for development: five tokens, certificates, people, recovery keys, vaults, a policy.

In production each of these is made where it belongs: tokens by their holders, recovery keys on paper, the charter in a
ceremony. Here they all lie under DIRECTORY/custody, which is said at every start.

| in DIRECTORY/custody      |                                                                    |
|---------------------------|--------------------------------------------------------------------|
| charter.json              | what all co-signers agree on                                       |
| cosigners/NAME/           | token, PIN, log, counter, certificate, own copy of the charter     |
| coordinator/              | its certificate and its journal                                    |
| console/                  | its certificate, and its log of what people did                    |
| people/, recovery/        | private keys that nobody would keep here                           |
"""

import asyncio
import json
import secrets
import sys
import time
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from embit import bip32
from embit.networks import NETWORKS

from ringfence.custody.chains.bitcoin.rpc import BitcoinRpc
from ringfence.custody.cosigner.config import Charter, Member, Person, PolicyDocument
from ringfence.custody.demonstration import CLIENTS_KEYS, FIRST_POLICY, PEOPLE, PLACES, sizes
from ringfence.custody.nomination import Role
from ringfence.custody.quorum.messages import statement
from ringfence.custody.wallets.descriptors import RECOVERY, Keychain, Pool, Vault
from ringfence.custody.wallets.owners import Owner
from ringfence.daemons.beacon_rounds import read_source
from ringfence.daemons.cosigner_peers import CONSOLE_CERTIFICATE, certificate_of
from ringfence.daemons.pinned_tls import ensure_certificate
from ringfence.daemons.token_founding import Public
from ringfence.files import replace

TIMEOUT_S = 20


class FoundingError(Exception):
    """Custody was not founded, or not wholly; the next start goes on where this one stopped."""


async def found(directory: Path, rpc: BitcoinRpc, *, clients_keys: int = CLIENTS_KEYS) -> Charter:
    """Return the charter, founding custody first where there is none.

    `clients_keys` of each token for the clients' wallet; a custody that has fewer is extended, which no co-signer
    may be running for. Raises FoundingError, BitcoinError, OSError.
    """
    home = directory / "custody"
    path = home / "charter.json"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    _let_console_ask(home)
    if path.exists():
        return await _extended(directory, clients_keys)
    publics = await _tokens(home, clients_keys)
    for name in (*PLACES, "coordinator"):
        ensure_certificate(home / ("coordinator" if name == "coordinator" else f"cosigners/{name}"), name)
    people = tuple(_person(home / "people", name, group) for name, group in PEOPLE.items())
    vaults = tuple(_vault(home, owner, publics) for owner in Owner)
    info = rpc.chain_info()
    members = tuple(_member(publics[name], *place) for name, place in PLACES.items())
    policies = (_first_policy(home, time.time_ns()),)
    source = read_source(directory)
    charter = Charter(
        chain=info.chain, members=members, people=people, vaults=vaults, policies=policies,
        follow_from_height=info.height, follow_from_block=info.tip, timeout_s=TIMEOUT_S,
        beacon=source.beacon if source is not None else None,
    )  # fmt: skip
    charter.roster().check()
    charter.wallets(lookahead=1)
    for name in PLACES:
        folder = home / "cosigners" / name
        replace(folder / "coordinator.crt", (home / "coordinator" / "tls.crt").read_bytes())
        (folder / "peers").mkdir(mode=0o700, exist_ok=True)
        for peer in set(PLACES) - {name}:
            replace(certificate_of(folder, peer), (home / "cosigners" / peer / "tls.crt").read_bytes())
        (folder / "log.jsonl").touch(mode=0o600)
    _write(home, charter)
    return charter


async def _extended(directory: Path, clients_keys: int) -> Charter:
    """Return the charter, with as many keys as are wanted; an extension that was cut short is brought to its end."""
    home, charter = directory / "custody", read_charter(directory)
    has = next(vault for vault in charter.vaults if vault.owner == Owner.CLIENTS.text).size(Keychain.RECEIVE)
    begun = home / "extending"
    if begun.exists():
        clients_keys = max(clients_keys, int(begun.read_text()))
    if clients_keys > has:
        replace(begun, str(clients_keys).encode())
        publics = await _tokens(home, clients_keys)
        charter = extended(charter, publics)
        _write(home, charter)
    begun.unlink(missing_ok=True)
    return charter


def extended(charter: Charter, publics: dict[str, Public]) -> Charter:
    """Return a charter with the keys that its tokens have by now, and nothing else changed.

    Raises FoundingError if a token is another one, or if a key that the charter has is not there any more.
    """
    for member in charter.members:
        if publics[member.name].identity != member.identity:
            raise FoundingError(f"the token of {member.name} is another than the charter's")

    def longer(pool: Pool, owner: str) -> Pool:
        found = publics[pool.signer].pools[owner]
        for keychain in Keychain:
            had = pool.keys(keychain)
            if found.keys(keychain)[: len(had)] != had:
                raise FoundingError(
                    f"the token of {pool.signer} has lost keys that hold coins; nothing was changed"
                )
        return found

    vaults = tuple(
        msgspec.structs.replace(
            vault, operations=tuple(longer(pool, vault.owner) for pool in vault.operations),
            policy=tuple(longer(pool, vault.owner) for pool in vault.policy),
        )
        for vault in charter.vaults
    )  # fmt: skip
    members = tuple(
        msgspec.structs.replace(
            member,
            token_digest=publics[member.name].token_digest,
            keys_digest=publics[member.name].keys_digest,
        )
        for member in charter.members
    )
    after = msgspec.structs.replace(charter, vaults=vaults, members=members)
    after.wallets(lookahead=1)
    return after


def _let_console_ask(home: Path) -> None:
    """Give the console a certificate of its own, which each co-signer knows: it is not the coordinator."""
    ensure_certificate(home / "console", "console")
    for name in PLACES:
        folder = home / "cosigners" / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / CONSOLE_CERTIFICATE).exists():
            replace(folder / CONSOLE_CERTIFICATE, (home / "console" / "tls.crt").read_bytes())


def _write(home: Path, charter: Charter) -> None:
    """Give everybody the charter; the common copy is the last, so that what was cut short is done again."""
    raw = msgspec.json.format(msgspec.json.encode(charter))
    for name in PLACES:
        replace(home / "cosigners" / name / "charter.json", raw)
    replace(home / "charter.json", raw)


def read_charter(directory: Path) -> Charter:
    """Raises FoundingError."""
    path = directory / "custody" / "charter.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Charter)
    except (OSError, msgspec.MsgspecError) as error:
        raise FoundingError(f"{path.name} cannot be read: {error}") from error


async def _tokens(home: Path, clients_keys: int) -> dict[str, Public]:
    wanted = json.dumps(sizes(clients_keys))

    async def one(name: str) -> Public:
        folder = home / "cosigners" / name
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ringfence.daemons.token_founding", str(folder), name, wanted,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
        if process.returncode:
            raise FoundingError(said.decode(errors="replace").strip()[-500:])
        return msgspec.json.decode((folder / "public.json").read_bytes(), type=Public)

    made = await asyncio.gather(*(one(name) for name in PLACES))
    return {public.name: public for public in made}


def _member(public: Public, role: Role, organisation: str, site: str) -> Member:
    return Member(
        public.name, role.value, public.identity, organisation, site, public.serial, public.model,
        public.token_digest, public.keys_digest, public.tpm_key, public.tpm_log_base,
        public.tpm_shares_base,
    )  # fmt: skip


def _vault(home: Path, owner: Owner, publics: dict[str, Public]) -> Vault:
    def pools(role: Role) -> tuple[Pool, ...]:
        return tuple(publics[name].pools[owner.text] for name, place in PLACES.items() if place[0] == role)

    return Vault(
        owner.text, "regtest", pools(Role.OPERATIONS), pools(Role.POLICY),
        tuple(_recovery(home / "recovery", owner, number) for number in range(RECOVERY)),
    )  # fmt: skip


def _recovery(folder: Path, owner: Owner, number: int) -> str:
    """Return an extended public key; its private half is made if there is none."""
    path = folder / f"{owner.text}-{number}.key"
    if not path.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        root = bip32.HDKey.from_seed(secrets.token_bytes(64), version=NETWORKS["regtest"]["xprv"])
        replace(path, root.to_base58().encode())
    return str(bip32.HDKey.from_string(path.read_text()).to_public().to_base58())


def _person(folder: Path, name: str, group: str) -> Person:
    return Person(name, group, person_key(folder, name).public_key().public_bytes_raw().hex())


def person_key(folder: Path, name: str) -> Ed25519PrivateKey:
    """Return a person's private key, making it if there is none. Raises OSError, ValueError."""
    path = folder / f"{name}.key"
    if not path.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        replace(path, Ed25519PrivateKey.generate().private_bytes_raw().hex().encode())
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text()))


def _first_policy(home: Path, announced_ns: int) -> PolicyDocument:
    digest = statement(b"policy", FIRST_POLICY.digest, announced_ns)
    signatures = tuple((name, person_key(home / "people", name).sign(digest).hex()) for name in PEOPLE)
    return PolicyDocument(FIRST_POLICY, announced_ns, signatures)
