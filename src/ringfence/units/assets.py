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
    deposit_min: int
    """In the smallest unit, as the next two: less is shown and not credited, for it costs more to move than it is."""
    withdrawal_min: int
    withdrawal_fee: int
    """What is put aside for the network's fee unless the client says otherwise; 0 = the company bears it."""

    @property
    def withdrawal_fee_min(self) -> int:
        """Less would wait for a long time in a block that is in demand."""
        return self.withdrawal_fee // 10

    @property
    def withdrawal_fee_max(self) -> int:
        """More is a mistake."""
        return self.withdrawal_fee * 50


XBT = Asset(0, "XBt", "XBT", "Bitcoin", 8, "btc", True, True, 10_000, 1_000, 200_000)
USDT = Asset(1, "USDt", "USDT", "Tether USD", 6, "eth", True, True, 1_000_000, 1_000_000, 0)
ETH = Asset(2, "Gwei", "ETH", "Ether", 9, "eth", False, True, 100_000, 100_000, 2_000_000)
SOL = Asset(3, "LAMPORT", "SOL", "Solana", 9, "sol", False, True, 1_000_000, 1_000_000, 10_000)
LTC = Asset(4, "Litoshi", "LTC", "Litecoin", 8, "ltc", False, False, 10_000, 10_000, 10_000)
XRP = Asset(5, "DROP", "XRP", "XRP", 6, "xrp", False, False, 1_000_000, 1_000_000, 1_000)

ASSETS: tuple[Asset, ...] = (XBT, USDT, ETH, SOL, LTC, XRP)
"""By number. Append only: the numbers are in the journal."""

BY_CURRENCY: dict[str, Asset] = {asset.currency: asset for asset in ASSETS}

assert [asset.number for asset in ASSETS] == list(range(len(ASSETS)))
