"""`ringfence verify reserves`: whether the coins are there, and the keys. Nothing is asked of the exchange."""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from cyclopts import Parameter

from ringfence.cli.journal import AsJson

if TYPE_CHECKING:
    from ringfence.assurance.proofs.errors import ProofError
    from ringfence.assurance.proofs.reserves import Checked, Found
    from ringfence.assurance.proofs.reserves.verdict import Sources, Verdict

EXIT_FAULT = 1
_NODE_SECONDS = 24 * 3_600.0
"""A node of the main chain writes for an hour, and longer the further back the block is."""


def reserves(
    folder: Path,
    *,
    dump: Annotated[
        Path | None, Parameter(help="All coins at the list's block: bitcoin-cli dumptxoutset FILE rollback.")
    ] = None,
    node: Annotated[
        str | None,
        Parameter(help="Your Bitcoin node, http://HOST:PORT, on this machine; it writes such a file."),
    ] = None,
    cookie: Annotated[Path | None, Parameter(help="The node's cookie file.")] = None,
    ethereum: Annotated[str | None, Parameter(help="Your Ethereum node, http://HOST:PORT/.")] = None,
    solana: Annotated[str | None, Parameter(help="Your Solana node, http(s)://HOST:PORT/.")] = None,
    venue: Annotated[str | None, Parameter(help="The public key that the exchange is known by.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check what a snapshot's folder says of reserves: each coin, and fresh signatures by its keys."""
    from ringfence.assurance.proofs.errors import ProofError
    from ringfence.assurance.proofs.reserves.verdict import verify_folder
    from ringfence.cli.journal import progress

    if dump is not None and node is not None:
        sys.exit("--dump or --node: one of them is enough")
    try:
        with progress("checking") as on_progress:
            sources = _sources(
                dump=dump, node=node, cookie=cookie, ethereum=ethereum, solana=solana, on_progress=on_progress
            )
            verdict = verify_folder(folder, sources, venue=venue, on_progress=on_progress)
    except ProofError as error:
        _fail(error, as_json=as_json)
    except (OSError, ValueError) as error:
        print(f"nothing was checked: {error}", file=sys.stderr)
        sys.exit(EXIT_FAULT)
    _show(verdict, as_json=as_json)
    sys.exit(verdict.exit)


def _fail(error: "ProofError", *, as_json: bool) -> NoReturn:
    """Say what is wrong and end."""
    if as_json:
        print(
            json.dumps(
                {"ok": False, "exit": int(error.exit), "verdict": error.exit.name.lower(), "why": str(error)}
            )
        )
    print(f"{error.exit.name.lower()}: {error}", file=sys.stderr)
    sys.exit(error.exit)


def _show(verdict: "Verdict", *, as_json: bool) -> None:
    if as_json:
        found: dict[str, Any] = {
            "ok": verdict.exit == 0, "exit": int(verdict.exit), "verdict": verdict.exit.name.lower(),
            "why": verdict.why,
            "totals": {asset: str(total) for asset, total in verdict.totals.items()}, "height": verdict.height,
            "blockHash": verdict.block_hash, "proven": list(verdict.proven), "open": list(verdict.open),
            "never": list(verdict.never),
        }  # fmt: skip
        print(json.dumps(found))
        return
    print(f"Reserves at block {verdict.height} of Bitcoin:")
    for asset, total in verdict.totals.items():
        print(f"  {total:>26,} {asset}")
    for title, lines in (
        ("Proven", verdict.proven), ("Left open", verdict.open), ("What no file can show", verdict.never),
    ):  # fmt: skip
        if lines:
            print(f"{title}:")
        for line in lines:
            print(f"  - {line}")
    print(f"{verdict.exit.name.lower()}: {verdict.why}")


def _sources(
    *, dump: Path | None, node: str | None, cookie: Path | None, ethereum: str | None, solana: str | None,
    on_progress: Callable[[int, int], None],
) -> "Sources":  # fmt: skip
    """Raises ValueError for an address that is none."""
    from ringfence.assurance.proofs.reserves.chain import check_dump, check_ethereum, check_solana
    from ringfence.assurance.proofs.reserves.verdict import Sources

    found = Sources()
    if dump is not None:
        found = found._replace(
            bitcoin=lambda checked: check_dump(dump, checked, on_progress=on_progress), bitcoin_name=dump.name
        )
    if node is not None:
        asked = _BitcoinNode(node, cookie)
        found = found._replace(
            bitcoin=lambda checked: asked.check(checked, on_progress), bitcoin_name="the node",
            later_block=asked.block_hash,
        )  # fmt: skip
    if ethereum is not None:
        of_ethereum = _EthereumNode(ethereum)
        found = found._replace(ethereum=lambda checked: check_ethereum(of_ethereum, checked))
    if solana is not None:
        of_solana = _SolanaNode(solana)
        found = found._replace(solana=lambda checked: check_solana(of_solana, checked))
    return found


class _BitcoinNode:
    """A node of whoever checks. It is asked for a file of all coins at a height, and keeps its chain."""

    def __init__(self, url: str, cookie: Path | None) -> None:
        """Raises ValueError."""
        from urllib.parse import urlsplit

        from ringfence.custody.chains.bitcoin.rpc import BitcoinRpc, Endpoint

        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise ValueError(f"{url!r} is not the address of a node: http://HOST:PORT")
        endpoint = Endpoint(parts.hostname, parts.port, cookie, parts.username or "", parts.password or "")
        self._rpc = BitcoinRpc(endpoint, timeout_s=_NODE_SECONDS)

    def check(self, checked: "Checked", on_progress: Callable[[int, int], None]) -> "Found":
        from ringfence.assurance.proofs.errors import InconclusiveError
        from ringfence.assurance.proofs.reserves.chain import check_dump
        from ringfence.custody.chains.bitcoin.rpc import BitcoinError

        height = checked.reserves.height
        with tempfile.TemporaryDirectory() as folder:
            try:
                if self._rpc.block_hash(height) != checked.reserves.block_hash:
                    raise InconclusiveError(f"the node has another block {height} than the list")
                path = Path(folder) / "coins.dat"
                self._rpc.dump_coins(path, height)
                return check_dump(path, checked, on_progress=on_progress)
            except (BitcoinError, FileNotFoundError) as error:
                raise InconclusiveError(
                    f"the node has written no coins at block {height} here ({error}); give it a dump instead"
                ) from error

    def block_hash(self, height: int) -> str | None:
        from ringfence.assurance.proofs.errors import InconclusiveError
        from ringfence.custody.chains.bitcoin.rpc import BitcoinError, NotFoundError

        try:
            return self._rpc.block_hash(height)
        except NotFoundError:
            return None
        except BitcoinError as error:
            raise InconclusiveError(f"the node does not answer: {error}") from error


class _EthereumNode:
    def __init__(self, url: str) -> None:
        """Raises ValueError."""
        from ringfence.custody.chains.ethereum.rpc import EthereumRpc

        self._rpc = EthereumRpc(url)

    def block_hash(self, height: int) -> str | None:
        from ringfence.assurance.proofs.errors import InconclusiveError
        from ringfence.custody.chains.accounts import NodeError

        try:
            header = self._rpc.header(height)
        except NodeError as error:
            raise InconclusiveError(f"the node does not answer: {error}") from error
        return None if header is None else header.digest


class _SolanaNode:
    def __init__(self, url: str) -> None:
        """Raises ValueError."""
        from ringfence.custody.chains.solana.rpc import SolanaRpc

        self._rpc = SolanaRpc(url)

    def balance(self, address: str) -> int:
        from ringfence.assurance.proofs.errors import InconclusiveError
        from ringfence.custody.chains.accounts import NodeError

        try:
            return self._rpc.balance_lamports(address)
        except NodeError as error:
            raise InconclusiveError(f"the node does not answer: {error}") from error
