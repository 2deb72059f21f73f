"""The instruments of a new venue. Operators list more with a command; nothing in code names these."""

from datetime import UTC, datetime, timedelta

from ringfence.instruments.specification import Instrument
from ringfence.messages.commands import ContractKind
from ringfence.units.assets import USDT, XBT
from ringfence.units.limits import INDEX_DECIMALS
from ringfence.units.time import NS_PER_SECOND

_XBT_SATS = 100_000_000
_USDT_UNITS = 1_000_000
_MONTH_CODES = "FGHJKMNQUVXZ"
_DAYS_TO_EXPIRY_MIN = 14


def quarterly_expiry(at: datetime) -> datetime:
    """Return noon UTC of the last Friday of the first quarter month that is two weeks away or more."""
    year, month = at.year, at.month
    while True:
        if month % 3 == 0:
            first_of_next = datetime(year + month // 12, month % 12 + 1, 1, 12, tzinfo=UTC)
            last_day = first_of_next - timedelta(days=1)
            expiry = last_day - timedelta(days=(last_day.weekday() - 4) % 7)
            if expiry - at >= timedelta(days=_DAYS_TO_EXPIRY_MIN):
                return expiry
        year, month = year + month // 12, month % 12 + 1


def start_instruments(at_ns: int) -> list[Instrument]:
    """Return what a venue founded at this time lists, in listing order."""
    expiry = quarterly_expiry(datetime.fromtimestamp(at_ns // NS_PER_SECOND, tz=UTC))
    expiry_ns = int(expiry.timestamp()) * NS_PER_SECOND
    future = f"XBT{_MONTH_CODES[expiry.month - 1]}{expiry:%y}"
    return [
        Instrument(
            number=1, symbol="XBTUSD", root_symbol="XBT", typ="FFWCSX", kind=ContractKind.INVERSE,
            underlying="XBT", quote_currency="USD", position_currency="USD", settle_asset=XBT.number,
            tick_units=1, tick_decimals=1, lot_size=100,
            multiplier=-_XBT_SATS, underlying_to_settle=-_XBT_SATS,
            qty_max=10_000_000, px_ticks_max=10_000_000,
            initial_margin_ppm=10_000, maintenance_margin_ppm=5_000,
            risk_limit_base=200 * _XBT_SATS, risk_limit_step=150 * _XBT_SATS,
            maker_fee_ppm=-100, taker_fee_ppm=750, reference_symbol=".BXBT", index_number=8,
            impact_value=10_000,
            listing_ns=at_ns, funding_interval_hours=8,
        ),
        Instrument(
            number=2, symbol="ETHUSD", root_symbol="ETH", typ="FFWCSX", kind=ContractKind.LINEAR,
            underlying="ETH", quote_currency="USD", position_currency=None, settle_asset=XBT.number,
            tick_units=5, tick_decimals=2, lot_size=1, multiplier=100,
            qty_max=10_000_000, px_ticks_max=2_000_000,
            initial_margin_ppm=20_000, maintenance_margin_ppm=10_000,
            risk_limit_base=50 * _XBT_SATS, risk_limit_step=50 * _XBT_SATS,
            maker_fee_ppm=-100, taker_fee_ppm=750, reference_symbol=".BETH", index_number=9,
            impact_value=_XBT_SATS // 10,
            listing_ns=at_ns, funding_interval_hours=8,
        ),
        Instrument(
            number=3, symbol="XBTUSDT", root_symbol="XBT", typ="FFWCSX", kind=ContractKind.LINEAR,
            underlying="XBT", quote_currency="USDT", position_currency="XBT", settle_asset=USDT.number,
            tick_units=1, tick_decimals=1, lot_size=100, multiplier=1,
            underlying_to_position=1_000_000, quote_to_settle=1_000_000,
            qty_max=1_000_000_000, px_ticks_max=10_000_000,
            initial_margin_ppm=10_000, maintenance_margin_ppm=5_000,
            risk_limit_base=1_000_000 * _USDT_UNITS, risk_limit_step=1_000_000 * _USDT_UNITS,
            maker_fee_ppm=-100, taker_fee_ppm=750, reference_symbol=".BXBTT", index_number=10,
            impact_value=10_000 * _USDT_UNITS,
            listing_ns=at_ns, funding_interval_hours=8,
        ),
        Instrument(
            number=4, symbol="ETHUSDT", root_symbol="ETH", typ="FFWCSX", kind=ContractKind.LINEAR,
            underlying="ETH", quote_currency="USDT", position_currency="ETH", settle_asset=USDT.number,
            tick_units=5, tick_decimals=2, lot_size=100, multiplier=10,
            underlying_to_position=100_000, quote_to_settle=1_000_000,
            qty_max=1_000_000_000, px_ticks_max=2_000_000,
            initial_margin_ppm=10_000, maintenance_margin_ppm=5_000,
            risk_limit_base=1_000_000 * _USDT_UNITS, risk_limit_step=1_000_000 * _USDT_UNITS,
            maker_fee_ppm=-100, taker_fee_ppm=750, reference_symbol=".BETHT", index_number=11,
            impact_value=10_000 * _USDT_UNITS,
            listing_ns=at_ns, funding_interval_hours=8,
        ),
        Instrument(
            number=5, symbol="SOLUSDT", root_symbol="SOL", typ="FFWCSX", kind=ContractKind.LINEAR,
            underlying="SOL", quote_currency="USDT", position_currency="SOL", settle_asset=USDT.number,
            tick_units=1, tick_decimals=2, lot_size=1000, multiplier=100,
            underlying_to_position=10_000, quote_to_settle=1_000_000,
            qty_max=1_000_000_000, px_ticks_max=1_000_000,
            initial_margin_ppm=20_000, maintenance_margin_ppm=10_000,
            risk_limit_base=500_000 * _USDT_UNITS, risk_limit_step=500_000 * _USDT_UNITS,
            maker_fee_ppm=-100, taker_fee_ppm=750, reference_symbol=".BSOLT", index_number=12,
            impact_value=10_000 * _USDT_UNITS,
            listing_ns=at_ns, funding_interval_hours=8,
        ),
        Instrument(
            number=6, symbol=future, root_symbol="XBT", typ="FFCCSX", kind=ContractKind.INVERSE,
            underlying="XBT", quote_currency="USD", position_currency="USD", settle_asset=XBT.number,
            tick_units=5, tick_decimals=1, lot_size=100,
            multiplier=-_XBT_SATS, underlying_to_settle=-_XBT_SATS,
            qty_max=10_000_000, px_ticks_max=2_000_000,
            initial_margin_ppm=10_000, maintenance_margin_ppm=5_000,
            risk_limit_base=50 * _XBT_SATS, risk_limit_step=50 * _XBT_SATS,
            maker_fee_ppm=-100, taker_fee_ppm=750, settlement_fee_ppm=500, reference_symbol=".BXBT30M",
            index_number=8, impact_value=200_000,
            listing_ns=at_ns, expiry_ns=expiry_ns,
        ),
        Instrument(
            number=7, symbol="XBT_USDT", root_symbol="XBT", typ="IFXXXP", kind=ContractKind.SPOT,
            underlying="XBT", quote_currency="USDT", position_currency="XBT",
            settle_asset=USDT.number, base_asset=XBT.number,
            tick_units=1, tick_decimals=1, lot_size=1000, multiplier=1, value_divisor=100,
            underlying_to_position=_XBT_SATS, quote_to_settle=_USDT_UNITS,
            qty_max=2_000_000_000, px_ticks_max=10_000_000,
            initial_margin_ppm=1_000_000, maintenance_margin_ppm=1_000_000,
            risk_limit_base=1, risk_limit_step=1,
            maker_fee_ppm=1_000, taker_fee_ppm=1_000, listing_ns=at_ns,
        ),
        *(
            _index(number, symbol, underlying, quote, at_ns)
            for number, (symbol, underlying, quote) in enumerate(_INDICES, start=8)
        ),
    ]  # fmt: skip


_INDICES = (
    (".BXBT", "XBT", "USD"), (".BETH", "ETH", "USD"),
    (".BXBTT", "XBT", "USDT"), (".BETHT", "ETH", "USDT"), (".BSOLT", "SOL", "USDT"),
    (".BXBT30M", "XBT", "USD"),
)  # fmt: skip
"""Instrument numbers follow those of the contracts; contracts name them as `index_number`."""


def _index(number: int, symbol: str, underlying: str, quote: str, at_ns: int) -> Instrument:
    return Instrument(
        number=number, symbol=symbol, root_symbol=underlying, typ="MRCXXX", kind=ContractKind.INDEX,
        underlying=underlying, quote_currency=quote, position_currency=None, settle_asset=XBT.number,
        tick_units=1, tick_decimals=INDEX_DECIMALS, lot_size=1, multiplier=0, listing_ns=at_ns,
    )  # fmt: skip
