"""Whether a list of reserves is one: scripts follow from descriptors, nothing counts twice, sums are sums.

What a list says of amounts is not believed for its saying it: Ethereum's are proven by the list itself, against a
block's hash; Bitcoin's are held against all coins of the chain (`chain.py`); Solana's can only be asked for.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ringfence.assurance.proofs.errors import ForgedError, InconclusiveError
from ringfence.assurance.proofs.reserves import bitcoin, ethereum, solana
from ringfence.assurance.proofs.reserves.model import (
    COUNTED,
    CUSTODIAL,
    FACTORS,
    OF_CHAIN,
    AccountRow,
    Asset,
    Bitcoin,
    Ethereum,
    Kind,
    Reserves,
    ScriptRow,
    Solana,
    VaultRow,
    amount,
    check_digest,
    check_outpoint,
    hexadecimal,
    read_reserves,
)

XBT, ETH, SOL = "XBt", "Gwei", "LAMPORT"
SATS_MAX = 21_000_000 * 10**8
OnProgress = Callable[[int, int], None]


class Checked(NamedTuple):
    """A list that is one."""

    reserves: Reserves
    scripts: dict[bytes, ScriptRow]
    """Of Bitcoin, by script, those that are of a form which is understood."""
    vaults: dict[bytes, bitcoin.Vault | bitcoin.Hot]
    """What each of them says."""
    custodial: dict[bytes, int]
    doubts: tuple[str, ...]
    """Rows that cannot be judged: with one of them a list is not proven."""


def check_listing(raw: bytes, *, venue: str | None = None, on_progress: OnProgress | None = None) -> Checked:
    """Return a list if everything in it follows from what it says. Raises ForgedError, which names the row."""
    reserves = read_reserves(raw)
    if venue is not None and reserves.venue != venue:
        raise ForgedError(f"the list is of another exchange: {reserves.venue}")
    sums: dict[str, Counter[str]] = {}
    apart: dict[str, Counter[str]] = {}
    scripts: dict[bytes, ScriptRow] = {}
    vaults: dict[bytes, bitcoin.Vault | bitcoin.Hot] = {}
    custodial: dict[bytes, int] = {}
    doubts: list[str] = []
    if reserves.bitcoin is not None:
        check = _OfBitcoin(reserves.bitcoin, on_progress)
        check.run()
        scripts, vaults, custodial, doubts = check.scripts, check.vaults, check.custodial, check.doubts
        sums.setdefault(XBT, Counter()).update(check.sums)
        apart.setdefault(XBT, Counter()).update(check.apart)
    elif reserves.height or set(reserves.block_hash) != {"0"}:
        raise ForgedError("a block of Bitcoin is named, and nothing of Bitcoin is listed")
    if reserves.ethereum is not None:
        held, unproven = _of_ethereum(reserves.ethereum)
        doubts += unproven
        for currency, raw_amount in held.items():
            sums.setdefault(currency, Counter())[OF_CHAIN] += raw_amount
    if reserves.solana is not None:
        sums.setdefault(SOL, Counter())[OF_CHAIN] += _of_solana(reserves.solana)
    _check_assets(reserves.assets, sums, apart)
    return Checked(reserves, scripts, vaults, custodial, tuple(doubts))


@contextmanager
def _row(name: str) -> Iterator[None]:
    """Whatever is wrong within is said of a row."""
    try:
        yield
    except ForgedError as error:
        raise ForgedError(f"{name}: {error}") from error


def _check_assets(
    assets: dict[str, Asset], sums: dict[str, Counter[str]], apart: dict[str, Counter[str]]
) -> None:
    """Raises ForgedError unless the totals are what the rows come to."""
    if set(assets) != set(sums):
        raise ForgedError(
            f"the assets are {', '.join(sorted(assets))}, the rows are of {', '.join(sorted(sums))}"
        )
    for currency, asset in sorted(assets.items()):
        with _row(currency):
            if currency not in FACTORS:
                raise ForgedError("no such asset is known")
            for name, said, found in (("classes", asset.classes, sums), ("apart", asset.apart, apart)):
                told = {one: amount(f"{name}.{one}", text) for one, text in said.items()}
                come = dict(found.get(currency, Counter()))
                if set(told) != set(come):
                    raise ForgedError(
                        f"{name} are {', '.join(sorted(told))}, the rows have {', '.join(sorted(come))}"
                    )
                for one in told:
                    if told[one] != come[one]:
                        raise ForgedError(f"{name}.{one} is {told[one]}, its rows come to {come[one]}")
            whole = sum(sums[currency].values())
            fee_money = amount("feeMoney", asset.fee_money)
            if fee_money > whole:
                raise ForgedError(f"{fee_money} of {whole} are the company's")
            total = (whole - fee_money) // FACTORS[currency]
            if amount("total", asset.total) != total:
                raise ForgedError(
                    f"the total is {asset.total}, the classes less the fee money come to {total}"
                )


class _OfBitcoin:
    def __init__(self, listed: Bitcoin, on_progress: OnProgress | None) -> None:
        self._listed, self._on_progress = listed, on_progress
        self.scripts: dict[bytes, ScriptRow] = {}
        self.vaults: dict[bytes, bitcoin.Vault | bitcoin.Hot] = {}
        self.custodial: dict[bytes, int] = {}
        self.doubts: list[str] = []
        self.sums: Counter[str] = Counter()
        self.apart: Counter[str] = Counter()
        self._seen: dict[bytes, str] = {}
        """By script: its row."""
        self._coins: set[str] = set()
        self._keys: dict[bytes, str] = {}
        """By key of a token: its row. A key in two scripts would be a wallet that nobody has described."""
        self._wallets: dict[Kind, VaultRow] = {}

    def run(self) -> None:
        """Raises ForgedError."""
        if self._listed.network not in bitcoin.PREFIXES:
            raise ForgedError(f"no network is called {self._listed.network[:40]!r}")
        for number, vault in enumerate(self._listed.vaults):
            with _row(f"bitcoin.vaults[{number}]"):
                self._vault(vault)
        if self._listed.hot:
            with _row("bitcoin.hot"):
                bitcoin.extended(self._listed.hot, self._listed.network)
        rows = self._listed.scripts
        for number, row in enumerate(rows):
            with _row(f"bitcoin.scripts[{number}]"):
                self._script(number, row)
            if self._on_progress is not None and number % 256 == 0:
                self._on_progress(number, len(rows))
        for number, custodial in enumerate(self._listed.custodial):
            name = f"bitcoin.custodial[{number}]"
            with _row(name):
                script = hexadecimal("script", custodial.script)
                self._once(script, name)
                is_known = script[:2] in (b"\0\x14", b"\0\x20") and len(script) == 2 + script[1]
                address = bitcoin.address_of(script, self._listed.network) if is_known else ""
                if is_known and custodial.address != address:
                    raise ForgedError(
                        f"the address of the script is {address}, {custodial.address[:100]} is listed"
                    )
                balance = amount("balance", custodial.balance)
                self.custodial[script] = balance
                self.apart[CUSTODIAL] += balance

    def _vault(self, vault: VaultRow) -> None:
        if vault.kind == Kind.THRESHOLD or vault.kind in self._wallets:
            raise ForgedError(f"{vault.kind} has no vault, or has one already")
        for key in vault.recovery:
            bitcoin.extended(key, self._listed.network)
        others = {key for one in self._wallets.values() for key in one.recovery}
        if len(set(vault.recovery)) != len(vault.recovery) or others & set(vault.recovery):
            raise ForgedError("a recovery key is there twice")
        self._wallets[vault.kind] = vault

    def _once(self, script: bytes, name: str) -> None:
        """Raises ForgedError for a script that is in the list already, however it is described there."""
        if script in self._seen:
            raise ForgedError(f"the same script as in {self._seen[script]}: its coins would count twice")
        self._seen[script] = name

    def _script(self, number: int, row: ScriptRow) -> None:
        name = f"bitcoin.scripts[{number}]"
        script = hexadecimal("script", row.script)
        self._once(script, name)
        total = 0
        for coin in row.coins:
            check_outpoint("a coin", coin.outpoint)
            if coin.outpoint in self._coins:
                raise ForgedError(f"coin {coin.outpoint} is in the list twice")
            self._coins.add(coin.outpoint)
            total += amount(coin.outpoint, coin.amount)
        if total != amount("balance", row.balance) or total > SATS_MAX:
            raise ForgedError(f"the balance is {row.balance}, its coins come to {total}")
        (self.sums if row.kind in COUNTED else self.apart)[row.kind.value] += total
        try:
            found = bitcoin.read_descriptor(row.descriptor, self._listed.network)
        except InconclusiveError as error:
            self.doubts.append(f"{name}: {error}")
            return
        if found.script != script:
            raise ForgedError(f"the descriptor makes the script {found.script.hex()}, {row.script} is listed")
        address = bitcoin.address_of(script, self._listed.network)
        if row.address != address:
            raise ForgedError(f"the address of the script is {address}, {row.address[:100]} is listed")
        if isinstance(found, bitcoin.Vault):
            self._check_vault(found, row.kind, name)
        elif row.kind != Kind.THRESHOLD or (found.extended, found.path) != (
            self._listed.hot,
            bitcoin.HOT_PATH,
        ):
            raise ForgedError("the script is not that of the hot wallet")
        self.scripts[script], self.vaults[script] = row, found

    def _check_vault(self, found: bitcoin.Vault, kind: Kind, name: str) -> None:
        wallet = self._wallets.get(kind)
        if wallet is None:
            raise ForgedError(f"the script is of {kind}, which has no vault")
        if set(found.recovery) != set(wallet.recovery) or len(found.recovery) != len(wallet.recovery):
            raise ForgedError("a recovery key of the script is not of its vault")
        if found.recovery_blocks != wallet.recovery_blocks:
            raise ForgedError(
                f"recovery after {found.recovery_blocks} blocks, the vault has {wallet.recovery_blocks}"
            )
        for key in (*found.operations, *found.policy):
            if key in self._keys:
                raise ForgedError(f"the key {key.hex()} is in {self._keys[key]} as well")
            self._keys[key] = name


def _of_ethereum(listed: Ethereum) -> tuple[dict[str, int], list[str]]:
    """Return what is proven by currency, and what cannot be judged. Raises ForgedError."""
    with _row("ethereum"):
        header = ethereum.read_header(hexadecimal("header", listed.header))
        if header.digest != check_digest("blockHash", listed.block_hash):
            raise ForgedError(f"the header is of block {header.digest.hex()}, {listed.block_hash} is named")
        if header.height != listed.height:
            raise ForgedError(f"the header is of height {header.height}, {listed.height} is named")
        if list(listed.nodes) != sorted(set(listed.nodes)):
            raise ForgedError("the nodes are not in order, each once")
        contracts = {one.currency: one.address for one in listed.contracts}
        if len(contracts) != len(listed.contracts) or not set(contracts) <= set(FACTORS) - {XBT, ETH, SOL}:
            raise ForgedError("a contract is there twice, or of no token that is known")
        proof = ethereum.Proof(hexadecimal("nodes", one) for one in listed.nodes)
    doubts, storage = [], {}
    for currency, address in contracts.items():
        with _row(f"ethereum.contracts.{currency}"):
            layout = ethereum.LAYOUTS.get((listed.chain, address))
            if layout is None:
                doubts.append(f"ethereum: where {address} on {listed.chain} keeps balances is not known here")
                continue
            state = proof.account(header.state_root, hexadecimal("address", address[2:].lower()))
            if state is None:
                raise ForgedError(f"there is nothing at {address}")
            storage[currency] = (state.storage_root, layout)
    held: Counter[str] = Counter({ETH: 0, **dict.fromkeys(contracts, 0)})
    seen: dict[bytes, int] = {}
    for number, row in enumerate(listed.accounts):
        with _row(f"ethereum.accounts[{number}]"):
            address_bytes = _address_of(listed, row)
            if address_bytes in seen:
                raise ForgedError(f"the same address as in ethereum.accounts[{seen[address_bytes]}]")
            seen[address_bytes] = number
            state = proof.account(header.state_root, address_bytes)
            proven = state.balance if state is not None else 0
            if amount("balance", row.balance) != proven:
                raise ForgedError(f"{row.balance} wei are listed, the block has {proven}")
            held[ETH] += proven
            currencies = [token.currency for token in row.tokens]
            if len(set(currencies)) < len(currencies) or not set(currencies) <= set(contracts):
                raise ForgedError("a token is there twice, or has no contract")
            for token in row.tokens:
                said = amount(token.currency, token.balance)
                if token.currency in storage:
                    root, layout = storage[token.currency]
                    has = proof.storage(root, layout.place(address_bytes))
                    if said != has:
                        raise ForgedError(f"{said} of {token.currency} are listed, the block has {has}")
                held[token.currency] += said
    unused = proof.unused()
    if unused:
        raise ForgedError(f"ethereum.nodes: {unused} of them prove nothing that is listed")
    return dict(held), doubts


def _address_of(listed: Ethereum, row: AccountRow) -> bytes:
    if not 0 <= row.key < len(listed.keys) or not 0 <= row.number < 2**31:
        raise ForgedError("there is no such key, or no such address below it")
    found = ethereum.address_of(listed.keys[row.key], row.number)
    if row.address != ethereum.spelt(found):
        raise ForgedError(
            f"the address follows from the key as {ethereum.spelt(found)}, {row.address[:60]} is listed"
        )
    return found


def _of_solana(listed: Solana) -> int:
    """Return what is listed. Raises ForgedError."""
    keys = [solana.read_address(f"solana.keys[{number}]", one) for number, one in enumerate(listed.keys)]
    seen: dict[str, int] = {}
    total = 0
    for number, row in enumerate(listed.accounts):
        with _row(f"solana.accounts[{number}]"):
            if not 0 <= row.key < len(keys):
                raise ForgedError("there is no such key")
            address = solana.address_of(keys[row.key], row.seed)
            if row.address != address:
                raise ForgedError(
                    f"the address follows from key and seed as {address}, {row.address[:60]} is listed"
                )
            if address in seen:
                raise ForgedError(f"the same address as in solana.accounts[{seen[address]}]")
            seen[address] = number
            total += amount("balance", row.balance)
    return total
