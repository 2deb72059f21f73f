"""`ringfence verify liabilities`: is my balance inside, and does the whole file add up?

Exit status: 0 proven and as expected, 1 the program failed, 2 the file is damaged or forged, 3 nothing of mine or
another sum than expected, 4 something that is needed was not given.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from cyclopts import Parameter

from ringfence.cli.journal import AsJson

if TYPE_CHECKING:
    from ringfence.assurance.proofs.errors import ProofError
    from ringfence.assurance.proofs.header import Header
    from ringfence.assurance.proofs.verify import Claimant, Verdict

EXIT_FAULT, EXIT_FORGED, EXIT_INCONCLUSIVE = 1, 2, 4
_V1_STEPS, _V2_STEPS = 2, 2
Step = Callable[[float], None]

Venue = Annotated[str | None, Parameter(help="The public key that the exchange is known by, hexadecimal.")]


def liabilities(
    file: Path,
    *,
    account: Annotated[int | None, Parameter(help="Your account's number.")] = None,
    login: Annotated[str, Parameter(help="The name by which you know the account (`username`).")] = "",
    nonce: Annotated[
        str | None, Parameter(help="What opens this snapshot alone: `nonce` or `snapshotKey`.")
    ] = None,
    account_nonce: Annotated[str | None, Parameter(help="What opens every snapshot of the year.")] = None,
    expect: Annotated[
        str | None, Parameter(help="What your own statement says, in whole coins, e.g. 1.5.")
    ] = None,
    header: Annotated[Path | None, Parameter(help="BitMEX's format: the .header beside the file.")] = None,
    bind: Annotated[Path | None, Parameter(help="BitMEX's format: the .bind beside the file.")] = None,
    index: Annotated[Path | None, Parameter(help="The signed index.json, which names the file.")] = None,
    venue: Venue = None,
    as_json: AsJson = False,
) -> None:
    """Check a liabilities file as a whole, in either format, and find your balance in it.

    Of a file in BitMEX's format the .header and .bind beside it, and the index.json above it, are used if they are
    there: nobody has signed the file itself.
    """
    from ringfence.assurance.proofs.errors import ProofError

    try:
        raw = file.read_bytes()
        verdict = _verify(
            file, raw, account=account, login=login, nonce=nonce, account_nonce=account_nonce, expect=expect,
            header=header, bind=bind, index=index, venue=venue,
        )  # fmt: skip
    except ProofError as error:
        fail(error, as_json=as_json)
    except OSError as error:
        stop(EXIT_INCONCLUSIVE, f"{error.filename or file} cannot be read: {error.strerror}", as_json=as_json)
    except ValueError as error:
        stop(EXIT_FORGED, str(error), as_json=as_json)
    _show(verdict, is_known=venue is not None, as_json=as_json)


def _verify(
    file: Path, raw: bytes, *, account: int | None, login: str, nonce: str | None, account_nonce: str | None,
    expect: str | None, header: Path | None, bind: Path | None, index: Path | None, venue: str | None,
) -> "Verdict":  # fmt: skip
    from ringfence.assurance.proofs.header import read_header
    from ringfence.assurance.proofs.porl2 import MAGIC, read_head
    from ringfence.assurance.proofs.publisher import read_venue_key
    from ringfence.assurance.proofs.verify import verify_bitmex, verify_porl2

    key = read_venue_key(venue) if venue is not None else None
    is_v2 = raw.startswith(MAGIC)
    found: Header | None = None
    sidecar: bytes | None = None
    if is_v2:
        found = read_head(raw)[0]
    else:
        stem = file.name.split(".")[0]
        header = header or _beside(file, f"{stem}.header")
        index = index or _beside(file.absolute().parent, "index.json")
        bind = bind or _beside(file, f"{stem}.bind")
        found = read_header(header.read_bytes()) if header is not None else None
        sidecar = bind.read_bytes() if bind is not None else None
    if index is not None:
        _check_listed(index, file, raw, key)
        if header is not None:
            _check_listed(index, header, header.read_bytes(), key)
    scale = found.cut.scale if found is not None else None
    claimant = _claimant(account, login, nonce, account_nonce, expect, scale, is_v2=is_v2)
    if is_v2:
        with bar("checking", _V2_STEPS * found.figures.leaves if found else 1) as step:
            return verify_porl2(raw, claimant, venue=key, on_progress=step)
    with bar("checking", raw.count(b"\n")) as step:
        verdict = verify_bitmex(raw, claimant, header=found, sidecar=sidecar, on_progress=step)
    return verdict._replace(is_signed=index is not None and found is not None)


def _beside(file: Path, name: str) -> Path | None:
    path = file.with_name(name)
    return path if path.exists() else None


def _check_listed(index: Path, file: Path, raw: bytes, venue: bytes | None) -> None:
    from ringfence.assurance.proofs import index as signed_index
    from ringfence.assurance.proofs.publication import listed_files

    found, _ = signed_index.decode(index.read_bytes(), venue=venue)
    name = "/".join(file.absolute().parts[-2:])
    opened = "/".join(file.absolute().parts[-4:])
    listed = listed_files(found)
    signed_index.check_file(listed, opened if opened in listed else name, raw)


def _claimant(
    account: int | None, login: str, nonce: str | None, account_nonce: str | None, expect: str | None,
    scale: int | None, *, is_v2: bool,
) -> "Claimant | None":  # fmt: skip
    from ringfence.assurance.proofs.errors import InconclusiveError
    from ringfence.assurance.proofs.verify import Claimant, key_of

    if account is None and nonce is None and account_nonce is None:
        if expect is not None:
            raise InconclusiveError("an amount is expected, and nobody's account and nonce are given")
        return None
    if account is None or (nonce is None and account_nonce is None):
        raise InconclusiveError("your account's number and one of --nonce and --account-nonce are needed")
    short = key_of(nonce, "--nonce") if nonce is not None else b""
    long = key_of(account_nonce, "--account-nonce") if account_nonce is not None else b""
    return Claimant(
        account, login or f"account-{account}", account_nonce=long, snapshot_key=short if is_v2 else b"",
        sub_nonce=b"" if is_v2 else short, expected=None if expect is None else amount_of(expect, scale),
    )  # fmt: skip


def amount_of(text: str, scale: int | None) -> int:
    """Return an amount of whole coins in ledger units, exactly. Raises ValueError.

    A file in BitMEX's format alone does not say of what it is: then the amount is taken as ledger units.
    """
    from decimal import Decimal, InvalidOperation

    try:
        value = Decimal(text.replace(",", ""))
    except InvalidOperation as error:
        raise ValueError(f"--expect {text!r} is no amount") from error
    units = value.scaleb(scale or 0) if value.is_finite() else value
    if not units.is_finite() or units != units.to_integral_value() or units < 0 or units >= 2**64:
        what = f"amount with at most {scale} decimals" if scale else "whole number of ledger units"
        raise ValueError(f"--expect {text!r} is no {what}")
    return int(units)


# ---- what is said


@contextmanager
def bar(what: str, total: int) -> Iterator[Step]:
    """Show a bar on stderr; the step is told how much was done since the last call."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, advance=done)


def fail(error: "ProofError", *, as_json: bool) -> NoReturn:
    stop(int(error.exit), str(error), as_json=as_json)


_WORDS = {1: "failed", 2: "damaged or forged", 3: "not as expected", 4: "inconclusive"}


def stop(code: int, why: str, *, as_json: bool) -> NoReturn:
    """Say why nothing was proven, and end."""
    if as_json:
        print(json.dumps({"ok": False, "verdict": _WORDS[code], "exit": code, "why": why}))
    print(f"{_WORDS[code]}: {why}", file=sys.stderr)
    sys.exit(code)


def _show(verdict: "Verdict", *, is_known: bool, as_json: bool) -> None:
    from ringfence.assurance.proofs.plots import decimal
    from ringfence.units.assets import BY_CURRENCY

    asset = BY_CURRENCY.get(verdict.asset)
    scale, unit = (asset.scale, asset.asset) if asset is not None else (0, "ledger units")
    total = f"{decimal(verdict.total, scale)} {unit}"
    lacks = _lacks(verdict, is_known=is_known)
    found: dict[str, Any] = {
        "ok": not lacks, "exit": EXIT_INCONCLUSIVE if lacks else 0, "asset": verdict.asset or None,
        "total": str(verdict.total), "mine": None if verdict.mine is None else str(verdict.mine),
        "leaves": verdict.leaves, "places": list(verdict.places), "snapshot": verdict.snapshot,
        "height": verdict.height, "sequence": verdict.sequence, "snapshotRoot": verdict.snapshot_root or None,
        "lacks": lacks,
    }  # fmt: skip
    if as_json:
        print(json.dumps(found))
        sys.exit(found["exit"])
    where = f"snapshot {verdict.snapshot}" if verdict.snapshot is not None else "this file"
    print(f"The exchange says that it owes {total} in {where}, at Bitcoin block {verdict.height:,}.")
    print(f"All {verdict.leaves:,} pieces were added up again, and every hash above them is right.")
    if verdict.mine is not None:
        mine, pieces = decimal(verdict.mine, scale), len(verdict.places)
        print(f"Of it {mine} {unit} in {pieces} pieces are yours, and in no other's name.")
    print(
        "Not shown by this: that the coins are there (verify reserves), that nobody else was left out (each looks for "
        "themselves), debts outside of the exchange."
    )
    for one in lacks:
        print(f"inconclusive: {one}", file=sys.stderr)
    sys.exit(found["exit"])


def _lacks(verdict: "Verdict", *, is_known: bool) -> list[str]:
    """Return what is needed for a proof and was not given."""
    found = []
    if verdict.file is None and not verdict.is_signed:
        found.append("nobody has signed this file: give the signed --index, and the .header beside the file")
    elif not is_known:
        found.append("you have not said which exchange has signed it: --venue")
    if verdict.mine is not None and not verdict.is_bound:
        found.append(
            "others may have been shown the same pieces: give --account-nonce, or --header and --bind"
        )
    return found
