"""`ringfence verify history` and `verify watch`: everything that was published, once or as often as one likes.

Exit status: as of `verify liabilities`.
"""

import json
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ringfence.cli.journal import AsJson
from ringfence.cli.verify_liabilities import EXIT_INCONCLUSIVE, Venue, amount_of, bar, fail, stop

if TYPE_CHECKING:
    from ringfence.assurance.proofs.history import BlockAt, History

_FILE_BYTES_MAX = 1 << 30
_SECONDS = 60.0


def history(
    folder: Path,
    *,
    venue: Venue = None,
    node: Annotated[
        str | None, Parameter(help="Your Bitcoin node, HOST:PORT, for the blocks it rests on.")
    ] = None,
    cookie: Annotated[Path | None, Parameter(help="The node's .cookie file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check everything that was published: signatures, hashes, headers, the chain of minutes, stamps, openings."""
    from ringfence.assurance.proofs.errors import ProofError
    from ringfence.assurance.proofs.history import verify_history
    from ringfence.assurance.proofs.publisher import read_venue_key

    try:
        key = read_venue_key(venue) if venue is not None else None
        block_at = _blocks_of(node, cookie) if node is not None else None
        with bar("checking", 1) as step:
            done_before = 0

            def on_progress(done: int, total: int) -> None:
                nonlocal done_before
                step((done - done_before) / max(total, 1))
                done_before = done

            found = verify_history(folder, venue=key, block_at=block_at, on_progress=on_progress)
    except ProofError as error:
        fail(error, as_json=as_json)
    except OSError as error:
        stop(
            EXIT_INCONCLUSIVE, f"{error.filename or folder} cannot be read: {error.strerror}", as_json=as_json
        )
    except ValueError as error:
        stop(EXIT_INCONCLUSIVE, str(error), as_json=as_json)
    _show(found, is_known=venue is not None, as_json=as_json)


def _blocks_of(node: str, cookie: Path | None) -> "BlockAt":
    """Return where blocks are asked for. Raises ValueError."""
    from ringfence.assurance.proofs.errors import InconclusiveError
    from ringfence.assurance.proofs.history import Block
    from ringfence.custody.chains.bitcoin.rpc import BitcoinError, BitcoinRpc, Endpoint

    host, _, port = node.removeprefix("http://").rstrip("/").partition(":")
    if not port.isdigit() or cookie is None:
        raise ValueError("--node is HOST:PORT, and --cookie names the node's .cookie file")
    rpc = BitcoinRpc(Endpoint(host, int(port), cookie))

    def block_at(height: int) -> Block | None:
        try:
            if height > rpc.block_count():
                return None
            digest = rpc.block_hash(height)
            return Block(digest, bytes.fromhex(rpc.call("getblockheader", digest, False)))
        except BitcoinError as error:
            raise InconclusiveError(f"the node does not answer: {error}") from error

    return block_at


def _show(found: "History", *, is_known: bool, as_json: bool) -> None:
    lacks = [f"{one} is missing" for one in found.missing] + list(found.unknown)
    if not is_known:
        lacks.insert(0, "you have not said which exchange it is: --venue")
    code = EXIT_INCONCLUSIVE if lacks else 0
    if as_json:
        print(json.dumps({"ok": not lacks, "exit": code, **found._asdict(), "lacks": lacks}))
        sys.exit(code)
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "how many", title="published, and it holds together")
    table.add_row("snapshots", f"{found.snapshots}, {found.withheld} withheld")
    table.add_row("files as they were signed for", f"{found.files:,}")
    table.add_row(
        "lines of the chain of minutes", f"{found.minutes:,}, {found.first_minute} to {found.last_minute}"
    )
    table.add_row("time stamps held against blocks", f"{found.stamps:,}")
    table.add_row("minutes opened, as a block has drawn them", f"{found.opened:,}")
    table.add_row("lines with less coins than debts", f"{len(found.uncovered):,}")
    Console(width=max(Console().width, 110)).print(table)
    for one in found.uncovered[:20]:
        print(f"less than what is owed: {one}")
    for one in lacks[:20]:
        print(f"inconclusive: {one}", file=sys.stderr)
    sys.exit(code)


def watch(
    url: str,
    *,
    state: Annotated[Path, Parameter(help="Where to remember what was published before.")],
    venue: Annotated[str, Parameter(help="The public key that the exchange is known by.")],
    account: int | None = None,
    login: str = "",
    account_nonce: Annotated[
        str | None, Parameter(help="What opens your leaves; or a file that holds it.")
    ] = None,
    currency: str = "XBt",
    expect: Annotated[str | None, Parameter(help="In whole coins; without it any balance is taken.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch what is new, check it, and remember it: for cron. Anything wrong is kept as evidence under STATE.

    It tells the exchange nothing but that somebody fetches its files. An index that does not go on from the one that
    was seen the last time shows that the exchange tells two stories; both stay in STATE.
    """
    from ringfence.assurance.proofs.errors import ProofError
    from ringfence.assurance.proofs.publisher import read_venue_key
    from ringfence.assurance.proofs.verify import Claimant, key_of
    from ringfence.assurance.proofs.watch import look
    from ringfence.units.assets import BY_CURRENCY

    try:
        if currency not in BY_CURRENCY:
            raise ValueError(f"no asset is called {currency!r}")
        claimant = None
        if account is not None and account_nonce is not None:
            text = Path(account_nonce).read_text().strip() if Path(account_nonce).is_file() else account_nonce
            wanted = amount_of(expect, BY_CURRENCY[currency].scale) if expect is not None else None
            claimant = Claimant(
                account,
                login or f"account-{account}",
                account_nonce=key_of(text, "--account-nonce"),
                expected=wanted,
            )
        seen = look(
            url, state, venue=read_venue_key(venue), currency=currency, claimant=claimant, fetch=_fetcher()
        )
    except ProofError as error:
        fail(error, as_json=as_json)
    except OSError as error:
        stop(EXIT_INCONCLUSIVE, f"{url} cannot be fetched: {error}", as_json=as_json)
    except ValueError as error:
        stop(EXIT_INCONCLUSIVE, str(error), as_json=as_json)
    if as_json:
        print(json.dumps({"ok": True, "exit": 0, "at": time.time_ns() // 10**9, **seen._asdict()}))
    else:
        mine = f", {seen.mine} units of it yours" if seen.mine is not None else ""
        print(f"snapshot {seen.snapshot} of {currency}: {seen.total} units owed{mine}; {seen.what}")


def shards(
    url: str,
    *,
    leaves: Annotated[str, Parameter(help="Where your leaves are, as `GET /porl/nonce` says, e.g. 17,4099.")],
    venue: Annotated[str, Parameter(help="The public key that the exchange is known by.")],
    account: int,
    account_nonce: Annotated[str, Parameter(help="What opens your leaves.")],
    login: str = "",
    currency: str = "XBt",
    expect: Annotated[str | None, Parameter(help="In whole coins.")] = None,
    others: Annotated[int, Parameter(help="So many shards more, so that nobody sees which are yours.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Find your balance in a few parts of the newest file, instead of all of it: for a phone.

    Each part is held against the root that the exchange has signed. That the whole adds up is not looked at.
    """
    from ringfence.assurance.proofs.errors import ProofError
    from ringfence.assurance.proofs.plots import decimal
    from ringfence.assurance.proofs.publisher import read_venue_key
    from ringfence.assurance.proofs.verify import Claimant, key_of
    from ringfence.assurance.proofs.watch import look_at_shards
    from ringfence.units.assets import BY_CURRENCY

    try:
        scale = BY_CURRENCY[currency].scale
        claimant = Claimant(
            account, login or f"account-{account}", account_nonce=key_of(account_nonce, "--account-nonce"),
            expected=amount_of(expect, scale) if expect is not None else None,
        )  # fmt: skip
        wanted = [int(one) for one in leaves.split(",") if one.strip()]
        found = look_at_shards(
            url, wanted, venue=read_venue_key(venue), currency=currency, claimant=claimant, others=others,
            fetch=_fetcher(), fetch_part=_part_fetcher(),
        )  # fmt: skip
    except ProofError as error:
        fail(error, as_json=as_json)
    except OSError as error:
        stop(EXIT_INCONCLUSIVE, f"{url} cannot be fetched: {error}", as_json=as_json)
    except (ValueError, KeyError) as error:
        stop(EXIT_INCONCLUSIVE, str(error), as_json=as_json)
    if as_json:
        told = {
            "ok": True,
            "exit": 0,
            "mine": str(found.mine),
            "total": str(found.total),
            "places": found.places,
        }
        print(json.dumps(told))
    else:
        unit = BY_CURRENCY[currency].asset
        print(
            f"{decimal(found.mine or 0, scale)} of {decimal(found.total, scale)} {unit} are yours, and signed for."
        )


def _part_fetcher() -> Callable[[str, int, int], bytes]:
    import urllib.request

    def fetch(url: str, offset: int, length: int) -> bytes:
        request = urllib.request.Request(url, headers={"Range": f"bytes={offset}-{offset + length - 1}"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - the index came over http(s)
            raw: bytes = answer.read(length + 1)
        if answer.status != HTTPStatus.PARTIAL_CONTENT and len(raw) != length:
            raise ValueError(f"{url} does not come in parts")
        return raw

    return fetch


def _fetcher() -> Callable[[str], bytes]:
    import urllib.request
    from urllib.parse import urlsplit

    def fetch(url: str) -> bytes:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"{url!r} is no web address")
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - http and https only, checked above
            raw: bytes = answer.read(_FILE_BYTES_MAX + 1)
        if len(raw) > _FILE_BYTES_MAX:
            raise ValueError(f"{url} is larger than {_FILE_BYTES_MAX} bytes")
        return raw

    return fetch
