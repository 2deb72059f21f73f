"""Settlement assets. A ledger amount is an integer count of an asset's smallest unit."""

from typing import NamedTuple


class Asset(NamedTuple):
    """One asset: its ledger number, its wire names and how many decimals its smallest unit has."""

    number: int
    currency: str
    """The wire name of the smallest unit, e.g. XBt."""
    asset: str
    """The wire name of the whole coin, e.g. XBT."""
    name: str
    scale: int
    network: str
    is_margin: bool
    enabled: bool


XBT = Asset(0, "XBt", "XBT", "Bitcoin", 8, "btc", True, True)
USDT = Asset(1, "USDt", "USDT", "Tether USD", 6, "eth", True, True)
ETH = Asset(2, "Gwei", "ETH", "Ether", 9, "eth", False, True)
SOL = Asset(3, "LAMPORT", "SOL", "Solana", 9, "sol", False, True)
LTC = Asset(4, "Litoshi", "LTC", "Litecoin", 8, "ltc", False, False)
XRP = Asset(5, "DROP", "XRP", "XRP", 6, "xrp", False, False)

ASSETS: tuple[Asset, ...] = (XBT, USDT, ETH, SOL, LTC, XRP)
"""By number. Append only: the numbers are in the journal."""

BY_CURRENCY: dict[str, Asset] = {asset.currency: asset for asset in ASSETS}

assert [asset.number for asset in ASSETS] == list(range(len(ASSETS)))
