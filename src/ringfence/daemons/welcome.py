"""What `ringfence up` says when the exchange trades: where it is, the demo keys, a first order."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ringfence.daemons.venue import JUDGES, Venue
from ringfence.exchange.gateway import pages
from ringfence.exchange.users.keys import KeyRecord

_KEYS_SHOWN = 8
SYMBOL = "XBTUSD"


def book_curl(url: str) -> str:
    """Return a command for any shell that shows the order book."""
    return f"curl -s '{url}/api/v1/orderBook/L2?symbol={SYMBOL}&depth=3'"


def order_curl(url: str, key: KeyRecord) -> str:
    """Return commands for bash that sign an order with openssl and send it; it trades at once."""
    return f"""\
key={key.id}
secret={key.secret}
body='{{"symbol":"{SYMBOL}","side":"Buy","orderQty":100,"ordType":"Market"}}'
expires=$(($(date +%s) + 60))
signature=$(printf '%s' "POST/api/v1/order$expires$body" | openssl dgst -sha256 -hmac "$secret" | sed 's/.* //')
curl -s -X POST {url}/api/v1/order -H 'content-type: application/json' -d "$body" \\
  -H "api-key: $key" -H "api-expires: $expires" -H "api-signature: $signature"; echo"""


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines in columns. Nothing is cut off, however narrow the terminal: keys are copied."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def show(
    console: Console,
    *,
    directory: Path,
    url: str,
    venue: Venue,
    keys: tuple[KeyRecord, ...],
    bots: bool,
    source: str,
    console_url: str,
) -> None:
    """Print it. Keys of bots are in keys.json and nowhere else."""

    def say(text: str = "") -> None:
        # As it is: nothing that one may want to copy is wrapped or coloured.
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    say()
    prices = (
        "Coins, prices and bots are" if source == "simulated" else f"Prices: {source}. Coins and bots are"
    )
    console.print(f"[bold]Ringfence trades.[/] {prices} simulated.", highlight=False)
    if (pages.HOME / "trade" / "index.html").exists():
        # Passkeys are for a name, never for an address.
        named = url.replace("127.0.0.1", "localhost")
        say(f"  trade page  {named}/trade/ with an account ({named}/account/) or one of the keys below")
        say("  mail        is caught on this machine: ringfence mail")
    say(f"  REST        {url}/api/v1")
    say(f"  WebSocket   {url.replace('http', 'ws', 1)}/realtime")
    say(f"  judges      {', '.join(JUDGES)}; demo people may lift a halt: ringfence halt status")
    say(
        "  proofs      after some minutes: ringfence proofs status; your balance in them: ringfence proofs mine"
    )
    if console_url:
        say(
            f"  custody     {console_url}/ for those who sign; the demo people's keys lie in custody/people, people"
        )
    say(f"  data, logs  {directory}")
    say(f"  instruments {', '.join(one.symbol for one in venue.instruments if not one.is_index)}")
    if not bots:
        say("  No market makers run: the books are empty until somebody quotes.")
    traders = set(venue.traders.values())
    ours = [key for key in keys if key.account in traders and key.enabled]
    rows = [("demo API key", "account", "permissions", "id", "secret")]
    for key in ours[:_KEYS_SHOWN]:
        rows.append((key.name, str(key.account), ", ".join(key.permissions) or "read", key.id, key.secret))
    say()
    for line in aligned(rows):
        say(line)
    if len(ours) > _KEYS_SHOWN:
        say(f"  and {len(ours) - _KEYS_SHOWN} more: ringfence key list")
    say()
    say("# the order book")
    say(book_curl(url))
    first = next((key for key in ours if "order" in key.permissions), None)
    if first is not None:
        say()
        say("# a signed order, for bash; it trades at once")
        say(order_curl(url, first))
    missing = [tool for tool in ("curl", "openssl") if shutil.which(tool) is None]
    if missing:
        say(f"(not installed here: {' and '.join(missing)}; Debian packages of the same names)")
    say()
    say("Ctrl-C stops everything; start again and all is as it was. In another terminal: ringfence status")
