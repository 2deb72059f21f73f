"""/user, /apiKey, /wallet: who you are and what is yours."""

from typing import Any

import msgspec

from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.errors import Refused, invalid
from ringfence.exchange.gateway.rest.query import table_query
from ringfence.exchange.gateway.rest.route import TABLE_PARAMETERS, Request, optional, required, route
from ringfence.exchange.gateway.rest.subaccount import TARGET, target_account
from ringfence.exchange.gateway.rest.withdrawal import (
    asset_of,
)
from ringfence.exchange.projections import Account, Market
from ringfence.exchange.projections.coins import number_of
from ringfence.exchange.projections.history import Query
from ringfence.instruments.fee_tiers import VOLUME_DAYS
from ringfence.instruments.value import discounted_ppm
from ringfence.units.assets import ASSETS, BY_CURRENCY, XBT, Asset
from ringfence.units.rounding import PPM
from ringfence.units.time import NS_PER_DAY, floor_to, iso

Row = dict[str, Any]
_CURRENCY = optional("currency", description="XBt if not given; `all` for every currency.")
_WALLET_ROWS_MAX = 10_000
_NO_GUID = "00000000-0000-0000-0000-000000000000"
_NO_COINS = "this venue has no wallets yet: its coins are demo coins, credited by `ringfence operator credit`"


def _account(request: Request) -> Account:
    return target_account(request)


@route("GET", "/user", "User.get", returns="User", key=True)
def get_user(request: Request) -> object:
    """Get your user."""
    account = request.gateway.desk.views.accounts[request.account]
    name = account.name or f"account-{account.number}"
    return {
        "id": account.number, "firstname": None, "lastname": None, "username": name, "accountName": name,
        "isUser": True, "email": None, "phone": None, "created": iso(account.opened_ns),
        "lastUpdated": iso(account.opened_ns), "preferences": {}, "TFAEnabled": None, "affiliateID": None,
        "country": None, "geoipCountry": None, "geoipRegion": None, "firstTradeTimestamp": None,
        "firstDepositTimestamp": None, "typ": None,
    }  # fmt: skip


def _by_currency(request: Request, rows: dict[str, Row]) -> object:
    """Return the row of the currency that is asked for, or all rows."""
    currency = _currency(request)
    return list(rows.values()) if currency == "all" else rows[currency]


def _currency(request: Request) -> str:
    """Return the currency that is asked for, or `all`. Raises Refused."""
    currency = read.text(request.parameters, "currency") or XBT.currency
    if currency != "all" and currency not in BY_CURRENCY:
        raise invalid("Invalid currency")
    return currency


def _transactions(
    request: Request, currency: str, *, count: int, start: int = 0, reverse: bool = False
) -> Query:
    """Return the query of an account's wallet history in the time that is asked for."""
    equal: dict[str, tuple[Any, ...]] = {"account": (_account(request).number,)}
    if currency != "all":
        equal["currency"] = (currency,)
    return Query(
        table="transact", equal=equal, start_time=read.timestamp(request.parameters, "startTime"),
        end_time=read.timestamp(request.parameters, "endTime"), count=count, start=start, reverse=reverse,
    )  # fmt: skip


@route("GET", "/user/margin", "User.getMargin", _CURRENCY, TARGET, returns="Margin", key=True)
def get_margin(request: Request) -> object:
    """Get your margin in one currency, or a list for `all`."""
    account = _account(request)
    return _by_currency(request, {a.currency: account.margin(a.number).row() for a in ASSETS if a.enabled})


@route("GET", "/user/wallet", "User.getWallet", _CURRENCY, TARGET, returns="Wallet", key=True)
def get_wallet(request: Request) -> object:
    """Get your wallet in one currency, or a list for `all`."""
    account = _account(request)
    coins = request.gateway.desk.views.coins
    rows = {}
    for asset in ASSETS:
        if asset.enabled:
            pending = coins.pending(account.number, asset.number)
            rows[asset.currency] = account.margin(asset.number).wallet_row() | {"pendingDebit": pending}
    return _by_currency(request, rows)


@route(
    "GET", "/user/walletHistory", "User.getWalletHistory", _CURRENCY, optional("count", "number"),
    optional("start", "number"), optional("reverse", "boolean", "Newest first, as is usual here."),
    optional("startTime"), optional("endTime"), TARGET,
    returns="Transaction[]", key=True,
)  # fmt: skip
def get_wallet_history(request: Request) -> object:
    """Get every deposit, withdrawal and daily profit, newest first; above them the profit still open."""
    parameters = request.parameters
    currency = _currency(request)
    count = read.integer(parameters, "count", low=0, high=_WALLET_ROWS_MAX)
    start = read.integer(parameters, "start", low=0) or 0
    reverse = read.boolean(parameters, "reverse", default=True)
    query = _transactions(
        request, currency, count=_WALLET_ROWS_MAX if count is None else count, start=start, reverse=reverse
    )
    is_first_page = reverse and start == 0 and query.end_time is None
    return _history(request, query, _open_rows(_account(request), currency) if is_first_page else [])


def _open_rows(account: Account, currency: str) -> list[Row]:
    """Return a synthetic row for the profit of each open position: not yet in the wallet."""
    rows = []
    for position in account.positions.values():
        of = position.instrument
        if not position.qty or not of.is_contract or currency not in ("all", of.settle.currency):
            continue
        rows.append(
            {"transactID": _NO_GUID, "account": account.number, "currency": of.settle.currency, "network": None,
             "transactType": "UnrealisedPNL", "amount": position.unrealised, "fee": 0, "transactStatus": "Pending",
             "address": of.symbol, "tx": None, "text": None, "transactTime": None,
             "walletBalance": account.margin(of.settle_asset).wallet, "memo": None, "timestamp": None}
        )  # fmt: skip
    return rows


async def _history(request: Request, query: Query, first: list[Row]) -> list[Row]:
    """Return rows of the past; a withdrawal that was asked for shows what has become of it since."""
    rows = (first + await request.gateway.history(query))[: query.count]
    withdrawals = request.gateway.desk.views.coins.withdrawals
    for row in rows:
        view = withdrawals.get(number_of(row["transactID"]) or 0)
        if view is not None:
            row |= {
                "transactStatus": view.status,
                "tx": view.tx or None,
                "fee": view.fee,
                "address": view.address,
            }
    return rows


@route(
    "GET", "/user/walletSummary", "User.getWalletSummary", _CURRENCY, optional("startTime"), optional("endTime"),
    TARGET, returns="WalletSummary[]", key=True,
)  # fmt: skip
def get_wallet_summary(request: Request) -> object:
    """Get the sums of your wallet history by kind and symbol, with a total."""
    return _summary(request, _transactions(request, _currency(request), count=1_000_000))


async def _summary(request: Request, query: Query) -> list[Row]:
    account = _account(request)
    sums: dict[tuple[str, str, str | None], int] = {}
    for row in await request.gateway.history(query):
        symbol = row["address"] if row["transactType"] == "RealisedPNL" else None
        key = (row["currency"], row["transactType"], symbol)
        sums[key] = sums.get(key, 0) + row["amount"]
    rows = [_summary_row(account, *key, amount) for key, amount in sums.items()]
    for currency in sorted({key[0] for key in sums}):
        rows.append(
            _summary_row(
                account, currency, "Total", None, sum(v for k, v in sums.items() if k[0] == currency)
            )
        )
    return rows


def _summary_row(account: Account, currency: str, kind: str, symbol: str | None, amount: int) -> Row:
    margin = account.margin(BY_CURRENCY[currency].number)
    wallet = margin.wallet if kind == "Total" else None
    unrealised = margin.shared_unrealised if kind == "Total" else None
    return {
        "account": account.number, "currency": currency, "transactType": kind, "symbol": symbol, "amount": amount,
        "pendingDebit": 0, "realisedPnl": amount if kind == "RealisedPNL" else None, "walletBalance": wallet,
        "unrealisedPnl": unrealised,
        "marginBalance": None if wallet is None or unrealised is None else wallet + unrealised,
    }  # fmt: skip


def _fees(market: Market, account: Account) -> Row:
    of, discount = market.instrument, account.fee_discount
    maker, taker = (discounted_ppm(ppm, discount) for ppm in (of.maker_fee_ppm, of.taker_fee_ppm))
    return {
        "makerFee": maker / PPM, "takerFee": taker / PPM,
        "settlementFee": of.settlement_fee_ppm / PPM, "maxFee": max(of.maker_fee_ppm, of.taker_fee_ppm) / PPM,
    }  # fmt: skip


@route("GET", "/user/commission", "User.getCommission", returns="UserCommissionsBySymbol", key=True)
def get_commission(request: Request) -> object:
    """Get your fee rates by symbol, the discount of your tier taken off."""
    account, markets = _account(request), request.gateway.desk.views.markets.values()
    return {m.instrument.symbol: _fees(m, account) for m in markets if not m.instrument.is_index}


@route("GET", "/user/tradingVolume", "User.getTradingVolume", returns="TradingVolume[]", key=True)
def get_trading_volume(request: Request) -> object:
    """Get your average daily volume in US dollars over thirty days, by which fee tiers go."""
    today = floor_to(request.gateway.now_ns(), NS_PER_DAY)
    query = Query(
        table="tradingVolume", equal={"account": (request.account,)}, count=VOLUME_DAYS,
        start_time=iso(today - VOLUME_DAYS * NS_PER_DAY), end_time=iso(today - NS_PER_DAY),
    )  # fmt: skip
    return _average(request, query)


async def _average(request: Request, query: Query) -> list[Row]:
    days = await request.gateway.history(query)
    contract, spot = (sum(day[name] for day in days) for name in ("contractCents", "spotCents"))
    per_dollar = 100 * VOLUME_DAYS
    return [
        {"advUsd": round((contract + spot) / per_dollar, 2), "advUsdSpot": round(spot / per_dollar, 2),
         "advUsdContract": round(contract / per_dollar, 2)}
    ]  # fmt: skip


@route(
    "GET", "/user/deleverage", "User.getDeleverage", *TABLE_PARAMETERS, returns="UserDeleverage[]", key=True
)
def get_deleverage(request: Request) -> object:
    """Get your share of every deleveraging, with the name that you have on its public receipt."""
    views = request.gateway.desk.views
    query = table_query(request.parameters, "userDeleverage", views, account=request.account)
    return request.gateway.history(query.for_history())


@route("GET", "/user/quoteFillRatio", "User.getQuoteFillRatio", returns="QuoteFillRatio[]", key=True)
def get_quote_fill_ratio(request: Request) -> object:
    """Get your quote-fill ratios: this venue sets no threshold."""
    return []


@route("GET", "/user/quoteValueRatio", "User.getQuoteValueRatio", returns="QuoteValueRatio[]", key=True)
def get_quote_value_ratio(request: Request) -> object:
    """Get your quote-value ratios: this venue sets no threshold."""
    return []


@route("GET", "/user/affiliateStatus", "User.getAffiliateStatus", returns="Affiliate", key=True)
def get_affiliate_status(request: Request) -> object:
    """Get your affiliate status: this venue has no affiliate programme."""
    return {"account": request.account, "currency": XBT.currency}


@route(
    "GET", "/user/depositAddress", "User.getDepositAddress", required("currency"), required("network"), key=True
)  # fmt: skip
def get_deposit_address(request: Request) -> object:
    """Get your address to deposit coins to, as a string; it has been derived twice, by two processes."""
    return request.gateway.custody.address(request.account, _on_chain(request).currency)


@route(
    "GET", "/user/depositAddressInformation", "User.getDepositAddressInformation", required("currency"),
    required("network"), key=True,
)  # fmt: skip
def get_deposit_address_information(request: Request) -> object:
    """Get your address to deposit coins to, with what else has to be said to the network."""
    return _address_information(request)


async def _address_information(request: Request) -> Row:
    address = await request.gateway.custody.address(request.account, _on_chain(request).currency)
    return {"address": address, "memo": None}


def _on_chain(request: Request) -> Asset:
    """Return the asset that is asked for, if a chain of it is connected. Raises Refused."""
    asset = asset_of(request)
    if not request.gateway.desk.views.coins.custody_account:
        raise Refused(400, f"Deposits of {asset.currency} are not possible: {_NO_COINS}")
    return asset


@route("GET", "/user/minWithdrawalFee", "User.getMinWithdrawalFee", _CURRENCY, key=True)
def get_min_withdrawal_fee(request: Request) -> object:
    """Get the fee that is put aside for the network; what it does not take comes back."""
    currency = _currency(request)
    asset = BY_CURRENCY[currency]
    return {"currency": currency, "fee": asset.withdrawal_fee, "minFee": asset.withdrawal_fee_min}


@route("GET", "/user/deposits", "User.getDeposits", key=True)
def get_deposits(request: Request) -> object:
    """Get the deposits of yours that the chain holds or that wait, with their confirmations."""
    return _deposits(request)


async def _deposits(request: Request) -> list[Row]:
    said = await request.gateway.custody.ask(ask="deposits", account=request.account)
    return list(said["deposits"])


@route("GET", "/userEvent", "UserEvent.get", optional("count", "number"), returns="UserEvent[]", key=True)
def get_user_events(request: Request) -> object:
    """Get what happened to your account without your asking: liquidation and deleveraging, newest last."""
    count = read.integer(request.parameters, "count", low=0, high=500)
    query = Query(
        table="userEvent", equal={"account": (request.account,)}, count=150 if count is None else count, reverse=True
    )  # fmt: skip
    return _events(request, query)


async def _events(request: Request, query: Query) -> list[Row]:
    return [
        {"id": row["id"], "type": row["type"], "status": row["status"], "userId": row["account"],
         "createdById": row["account"], "ip": None, "geoipCountry": None, "geoipRegion": None,
         "geoipSubRegion": None, "eventMeta": msgspec.json.decode(row["eventMeta"]), "created": row["timestamp"]}
        for row in reversed(await request.gateway.history(query))
    ]  # fmt: skip


@route("GET", "/globalNotification", "GlobalNotification.get", key=True, returns="GlobalNotification[]")
def get_notifications(request: Request) -> object:
    """Get notifications."""
    return []


@route("GET", "/apiKey", "APIKey.get", optional("reverse", "boolean"), TARGET, returns="APIKey[]", key=True)
def get_keys(request: Request) -> object:
    """Get your API keys, without their secrets."""
    rows = [key.row() for key in request.gateway.keys.of_account(_account(request).number)]
    return rows[::-1] if read.boolean(request.parameters, "reverse", default=False) else rows


# ---- assets


@route("GET", "/wallet/assets", "Wallet.getAssetsConfig", returns="AssetsConfig[]")
def get_assets(request: Request) -> object:
    """Get the assets of the venue and their limits."""
    rows = []
    for asset in ASSETS:
        # Without a chain of it that is connected, an asset's coins come and go for demonstration alone.
        network = {
            "asset": asset.network, "tokenAddress": None, "depositEnabled": asset.enabled,
            "withdrawalEnabled": asset.enabled,
            "withdrawalFee": asset.withdrawal_fee, "minFee": asset.withdrawal_fee_min,
            "maxFee": asset.withdrawal_fee_max,
        }  # fmt: skip
        rows.append(
            {"asset": asset.asset, "currency": asset.currency, "majorCurrency": asset.asset, "name": asset.name,
             "currencyType": "Crypto", "scale": asset.scale, "enabled": asset.enabled,
             "isMarginCurrency": asset.is_margin, "memoRequired": False, "minDepositAmount": asset.deposit_min,
             "minWithdrawalAmount": asset.withdrawal_min, "maxWithdrawalAmount": 10**15, "networks": [network]}
        )  # fmt: skip
    return rows


@route("GET", "/wallet/networks", "Wallet.getNetworksConfig", returns="NetworksConfig[]")
def get_networks(request: Request) -> object:
    """Get the networks of the venue's assets; large deposits need more confirmations."""
    has_custody = bool(request.gateway.desk.views.coins.custody_account)
    return [
        {"network": network, "name": network.upper(), "currency": currency, "networkSymbol": network,
         "transactionExplorer": None, "tokenExplorer": None, "depositConfirmations": confirmations,
         "enabled": has_custody}
        for network, currency, confirmations in (("btc", "XBt", 1), ("eth", "Gwei", 12), ("sol", "LAMPORT", 32))
    ]  # fmt: skip
