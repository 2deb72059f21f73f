"""Reserves whose keys a test has: a list and a proof of control of every kind, made without nodes and co-signers.

They are made by custody's code and by ways of their own, never by the verifier's: what it accepts was not said by it.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import rlp
from coincurve import PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trie import HexaryTrie

from ringfence.assurance.proofs.hashes import canonical
from ringfence.assurance.proofs.reserves.control import (
    FORMAT,
    FORMS,
    BlockRow,
    Control,
    Of,
    ProofRow,
    coins_of,
    sample,
)
from ringfence.assurance.proofs.reserves.ethereum import LAYOUTS
from ringfence.assurance.proofs.reserves.listing import check_listing
from ringfence.assurance.proofs.reserves.making import reserves_of
from ringfence.assurance.proofs.reserves.model import (
    AccountRow,
    Bitcoin,
    CoinRow,
    ContractRow,
    CustodialRow,
    Ethereum,
    Kind,
    ScriptRow,
    Solana,
    SolanaRow,
    TokenRow,
    VaultRow,
)
from ringfence.custody.chains.bitcoin.transactions import Output, double_sha256
from ringfence.custody.chains.bitcoin.utxo_snapshot import FoundCoin
from ringfence.custody.chains.ethereum.addresses import address_of, keccak_256, read_address, spelt
from ringfence.custody.chains.solana.addresses import deposit_address, deposit_seed
from ringfence.custody.chains.solana.addresses import spelt as spelt_on_solana
from ringfence.custody.quorum.attestation import (
    ethereum_digest,
    hot_code,
    message_of,
    solana_message,
    to_sign,
    with_witnesses,
)
from ringfence.custody.quorum.hot import hot_key, hot_script
from ringfence.custody.quorum.messages import Attest
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.derivation import child_of, derived_key, extended_key
from ringfence.custody.wallets.descriptors import Keychain, satisfied
from ringfence.custody.wallets.owners import Mine, Owner, Wallets
from ringfence.testing.bitcoin import Signers, wallets_of

VENUE = "ab" * 32
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
CHAIN, CONTRACT = next(one for one in LAYOUTS if one[0] != "eip155:1")
SOLANA_CHAIN = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"
_KINDS = {Owner.CLIENTS: Kind.MULTISIG, Owner.INSURANCE: Kind.INSURANCE, Owner.COMPANY: Kind.COMPANY}
_EASY = (0x207FFFFF).to_bytes(4, "little")


class Shared:
    """A key with everything below it, whole for once."""

    def __init__(self, seed: bytes) -> None:
        self.private = PrivateKey(hashlib.sha256(seed).digest())
        self.public = bytes(self.private.public_key.format())
        self.chain_code = hashlib.sha256(seed + b" code").digest()

    def at(self, *path: int) -> PrivateKey:
        """Return the private key at a path, as BIP32 has it without hardening."""
        key, code = self.private, self.chain_code
        for number in path:
            mixed = hmac.digest(code, key.public_key.format() + number.to_bytes(4, "big"), "sha512")
            key, code = (
                PrivateKey.from_int((key.to_int() + int.from_bytes(mixed[:32], "big")) % ORDER),
                mixed[32:],
            )
        return key


class Made(NamedTuple):
    """Files, and the chain that they are true of."""

    reserves: bytes
    control: bytes
    coins: tuple[FoundCoin, ...]
    """Of Bitcoin, with a stranger's among them."""


class Treasure:
    """Somebody with coins on every chain."""

    def __init__(
        self, *, scripts: int = 3, coins: int = 2, company: int = 1, hot_coins: int = 1, custodial: int = 0,
        keys: int = 4, with_accounts: bool = True,
    ) -> None:  # fmt: skip
        """`scripts` of the clients, with so many coins each; `company`: scripts of the company."""
        self.signers = {owner: Signers(owner, 40 + owner, keys=max(keys, scripts)) for owner in Owner}
        self.wallets: Wallets = wallets_of(self.signers, lookahead=max(keys, scripts))
        self.hot, self.ether = Shared(b"hot"), Shared(b"ether")
        self.sol = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
        self.rows: list[tuple[Mine, tuple[Coin, ...]]] = []
        self._made = 0
        for number in range(scripts):
            self._add(Owner.CLIENTS, number, coins)
        for number in range(company):
            self._add(Owner.COMPANY, number, 1)
        self._hot_script = hot_script(hot_key(self.hot.public.hex(), self.hot.chain_code.hex()))
        self.hot_coins = tuple(self._coin(self._hot_script) for _ in range(hot_coins))
        self.custodial = tuple(self._custodial(number) for number in range(custodial))
        self.height, self.snapshot, self.block_hash = 100, 7, double_sha256(b"a block")[::-1].hex()
        self.ethereum: Ethereum | None = self._ethereum() if with_accounts else None
        self.solana: Solana | None = self._solana() if with_accounts else None

    def _add(self, owner: Owner, number: int, coins: int) -> None:
        mine = Mine(owner, Keychain.RECEIVE, number)
        script = self.wallets.derivers[owner].script_again(mine.keychain, number)
        self.rows.append((mine, tuple(self._coin(script) for _ in range(coins))))

    def _custodial(self, number: int) -> CustodialRow:
        script = b"\0\x14" + (number + 1).to_bytes(20, "big")
        address = self.wallets.derivers[Owner.CLIENTS].address(script)
        return CustodialRow(custodian="a bank", address=address, script=script.hex(), balance="1000")

    def _coin(self, script: bytes) -> Coin:
        self._made += 1
        txid = hashlib.sha256(self._made.to_bytes(8, "big")).hexdigest()
        return Coin(Outpoint(txid, self._made % 3), 10_000 * self._made + 7, script)

    # ---- the list

    def script_row(self, mine: Mine, coins: Sequence[Coin]) -> ScriptRow:
        deriver = self.wallets.derivers[mine.owner]
        script = deriver.script_again(mine.keychain, mine.number)
        return _row(
            _KINDS[mine.owner],
            deriver.published(mine.keychain, mine.number),
            deriver.address(script),
            script,
            coins,
        )

    def bitcoin(self) -> Bitcoin:
        rows = [self.script_row(*one) for one in self.rows]
        hot = extended_key(self.hot.public, self.hot.chain_code, "regtest")
        if self.hot_coins:
            address = self.wallets.derivers[Owner.CLIENTS].address(self._hot_script)
            rows.append(_row(Kind.THRESHOLD, f"wpkh({hot}/1/0)", address, self._hot_script, self.hot_coins))
        vaults = tuple(
            VaultRow(kind=_KINDS[owner], recovery=vault.recovery, recovery_blocks=vault.recovery_blocks)
            for owner, vault in self.wallets.vaults.items()
        )
        return Bitcoin(
            network="regtest", vaults=vaults, hot=hot, scripts=tuple(rows), custodial=self.custodial
        )

    def reserves(self, **changes: Any) -> bytes:
        parts: dict[str, Any] = {
            "venue": VENUE, "snapshot": self.snapshot, "height": self.height, "block_hash": self.block_hash,
            "bitcoin": self.bitcoin(), "ethereum": self.ethereum, "solana": self.solana,
            "fee_money": {"XBt": 5, "Gwei": 10**9 + 1, "LAMPORT": 3},
        }  # fmt: skip
        return reserves_of(**{**parts, **changes})

    def _ethereum(self) -> Ethereum:
        balances = {0: 3 * 10**18 + 5, 2: 10**9 - 1, 9: 0}
        tokens = {0: 7_000_000, 2: 0, 9: 1}
        at = child_of(self.ether.public, self.ether.chain_code, 1)
        addresses = {number: address_of(child_of(*at, number)[0]) for number in balances}
        storage = HexaryTrie({})
        for number, raw in tokens.items():
            if raw:
                place = LAYOUTS[CHAIN, CONTRACT].place(addresses[number])
                storage[keccak_256(place)] = rlp.encode(raw)
        state = HexaryTrie({})
        code_hash = keccak_256(b"")
        empty = HexaryTrie({}).root_hash
        for number, address in addresses.items():
            state[keccak_256(address)] = rlp.encode([1, balances[number], empty, code_hash])
        state[keccak_256(read_address(CONTRACT))] = rlp.encode([1, 0, storage.root_hash, keccak_256(b"code")])
        for stranger in range(40):
            state[keccak_256(bytes([stranger]) * 20)] = rlp.encode([0, 10**20, empty, code_hash])
        fields = [
            b"\1" * 32,
            b"\2" * 32,
            b"\3" * 20,
            state.root_hash,
            b"\4" * 32,
            b"\5" * 32,
            bytes(256),
            b"",
            77,
        ]
        header = bytes(rlp.encode([*fields, *[1] * 12]))
        of_accounts = [state.get_proof(keccak_256(address)) for address in addresses.values()]
        places = [LAYOUTS[CHAIN, CONTRACT].place(address) for address in addresses.values()]
        of_tokens = [storage.get_proof(keccak_256(place)) for place in places]
        of_tokens.append(state.get_proof(keccak_256(read_address(CONTRACT))))
        without = {bytes(rlp.encode(node)) for proof in of_accounts for node in proof}
        nodes = without | {bytes(rlp.encode(node)) for proof in of_tokens for node in proof}
        self.nodes_without_tokens = frozenset(one.hex() for one in without)
        return Ethereum(
            chain=CHAIN, height=77, block_hash=keccak_256(header).hex(), header=header.hex(),
            keys=(extended_key(self.ether.public, self.ether.chain_code, "main"),),
            contracts=(ContractRow(currency="USDt", address=CONTRACT),),
            accounts=tuple(
                AccountRow(
                    key=0, number=number, address=spelt(address), balance=str(balances[number]),
                    tokens=(TokenRow(currency="USDt", balance=str(tokens[number])),),
                )
                for number, address in addresses.items()
            ),
            nodes=tuple(sorted(one.hex() for one in nodes)),
        )  # fmt: skip

    def _solana(self) -> Solana:
        key = self.sol.public_key().public_bytes_raw()
        rows = [SolanaRow(key=0, seed="", address=spelt_on_solana(key), balance="5000")]
        for number in (1, 2):
            seed = deposit_seed(key, number)
            rows.append(
                SolanaRow(key=0, seed=seed, address=deposit_address(key, number), balance=str(number))
            )
        return Solana(
            chain=SOLANA_CHAIN, slot=9, blockhash=spelt_on_solana(b"\7" * 32), keys=(spelt_on_solana(key),),
            accounts=tuple(rows),
        )  # fmt: skip

    # ---- control

    def control(
        self, reserves: bytes, *, headers: int = 1, change: Callable[[Control], Control] | None = None
    ) -> bytes:
        """Return a proof of control; `change` it before the proofs are put in."""
        checked = check_listing(reserves)
        chained, parent = [], bytes.fromhex(self.block_hash)[::-1]
        for number in range(headers):
            header = _mined(parent, number)
            chained.append(header)
            parent = double_sha256(header)
        roots = {asset: hashlib.sha256(asset.encode()).hexdigest() for asset in checked.reserves.assets}
        bare = Control(
            format=FORMAT, venue=VENUE, snapshot=self.snapshot, reserves=hashlib.sha256(reserves).hexdigest(),
            block=BlockRow(
                height=self.height + headers, hash=parent[::-1].hex(), headers=tuple(one.hex() for one in chained)
            ),
            snapshot_roots=roots, proofs=(), uncovered=(),
        )  # fmt: skip
        bare = change(bare) if change is not None else bare
        draws = sample(coins_of(checked), bare.block.hash)
        proofs = []
        if draws:
            proofs.append(self._of_scripts(bare, [self._find(one.outpoint) for one in draws]))
        if self.hot_coins:
            proofs.append(self._of_hot(bare))
        if checked.reserves.ethereum is not None:
            proofs += [self._of_ether(bare, asset) for asset in ("Gwei", "USDt")]
        if checked.reserves.solana is not None:
            proofs.append(self._of_sol(bare))
        return canonical(msgspec.structs.replace(bare, proofs=tuple(proofs)))

    def _find(self, outpoint: str) -> tuple[Mine, Coin]:
        return next(
            (mine, coin) for mine, coins in self.rows for coin in coins if str(coin.outpoint) == outpoint
        )

    def _of_scripts(self, control: Control, found: list[tuple[Mine, Coin]]) -> ProofRow:
        deriver, private = self.wallets.derivers[Owner.CLIENTS], self.signers[Owner.CLIENTS].private
        codes = [deriver.witness_script(mine.keychain, mine.number) for mine, _ in found]
        unsigned = to_sign(
            _message(control, "XBt"), found[0][1].script, codes[0],
            [(coin, code) for (_, coin), code in zip(found, codes, strict=True)],
        )  # fmt: skip
        witnesses = []
        for (mine, _), code, digest in zip(
            (found[0], *found), (codes[0], *codes), unsigned.digests, strict=True
        ):
            keys = deriver.keys(mine.keychain, mine.number)
            signed = {
                key: private[key].sign(digest, hasher=None) + b"\1"
                for key in (*keys.operations[1:], *keys.policy[:1])
            }
            witnesses.append(satisfied(keys, signed, code))
        address = deriver.address(found[0][1].script)
        return _proof("XBt", Of.SCRIPTS, address, with_witnesses(unsigned.raw, witnesses))

    def _of_hot(self, control: Control) -> ProofRow:
        key = self.hot.at(1, 0)
        public = bytes(key.public_key.format())
        assert public == derived_key(self.hot.public, self.hot.chain_code, "m/1/0")
        unsigned = to_sign(_message(control, "XBt"), self._hot_script, hot_code(public), ())
        signature = key.sign(unsigned.digests[0], hasher=None) + b"\1"
        raw = with_witnesses(unsigned.raw, [[signature, public]])
        return _proof("XBt", Of.HOT, self.wallets.derivers[Owner.CLIENTS].address(self._hot_script), raw)

    def _of_ether(self, control: Control, asset: str) -> ProofRow:
        key = self.ether.at(1, 0)
        signature = key.sign_recoverable(ethereum_digest(_message(control, asset)), hasher=None)
        raw = signature[:64] + bytes((27 + signature[64],))
        return _proof(asset, Of.ETHEREUM, spelt(address_of(key.public_key.format())), raw)

    def _of_sol(self, control: Control) -> ProofRow:
        public = self.sol.public_key().public_bytes_raw()
        said = solana_message(_message(control, "LAMPORT"), venue=VENUE, signer=public)
        return _proof("LAMPORT", Of.SOLANA, spelt_on_solana(public), self.sol.sign(said))

    # ---- the chain

    def found_coins(self) -> tuple[FoundCoin, ...]:
        coins = [coin for _, of in self.rows for coin in of] + list(self.hot_coins)
        found = [FoundCoin(one.outpoint, Output(one.amount_sats, one.script), 50, False) for one in coins]
        found += [
            FoundCoin(
                Outpoint("99" * 32, number), Output(int(row.balance), bytes.fromhex(row.script)), 50, False
            )
            for number, row in enumerate(self.custodial)
        ]
        return (*found, FoundCoin(Outpoint("88" * 32, 0), Output(123, b"\0\x14" + b"\x55" * 20), 1, True))

    def made(self) -> Made:
        reserves = self.reserves()
        return Made(reserves, self.control(reserves), self.found_coins())


def _row(kind: Kind, descriptor: str, address: str, script: bytes, coins: Sequence[Coin]) -> ScriptRow:
    return ScriptRow(
        kind=kind, descriptor=descriptor, address=address, script=script.hex(),
        balance=str(sum(coin.amount_sats for coin in coins)),
        coins=tuple(CoinRow(outpoint=str(one.outpoint), amount=str(one.amount_sats)) for one in coins),
    )  # fmt: skip


def _proof(asset: str, of: Of, address: str, raw: bytes) -> ProofRow:
    return ProofRow(
        asset=asset, of=of, key=0, form=FORMS[of], address=address, proof=raw.hex(), signers=("ops-1",)
    )


def _message(control: Control, asset: str) -> str:
    roots: Mapping[str, str] = control.snapshot_roots
    asked = Attest(
        chain="", asset=asset, venue=control.venue, block=control.block.hash, height=control.block.height,
        snapshot_root=roots[asset],
    )  # fmt: skip
    return message_of(asked)


def _mined(parent: bytes, number: int) -> bytes:
    """Return a header that was worked for as regtest wants it."""
    start = bytes(4) + parent + hashlib.sha256(bytes([number])).digest() + bytes(4) + _EASY
    for nonce in range(1 << 20):
        header = start + nonce.to_bytes(4, "little")
        if double_sha256(header)[-1] < 0x7F:
            return header
    raise AssertionError("every second nonce is good")
