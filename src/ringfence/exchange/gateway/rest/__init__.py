"""REST under /api/v1: one file a noun, each endpoint beside what it says of itself.

| module                          | endpoints                                             |
|---------------------------------|-------------------------------------------------------|
| route                           | what an endpoint is; request and answer               |
| csv_text                        | lists as CSV                                          |
| query                           | filter, columns, count, start, reverse, times, symbol |
| order, position, execution      | trading                                               |
| instrument, market_data, schema | public data                                           |
| halt, assurance, porl           | halts; signed state, what the judges say, proofs      |
| shed                            | how much is taken under load                          |
| user, subaccount                | account, wallet, keys, assets; families of accounts   |
| account                         | what people do with their accounts in the page        |
| withdrawal                      | coins out, the address book, the withdrawal key       |
| custody                         | chain against ledger, policies, draws                 |
| security                        | holes that strangers report, sealed                   |
"""

from ringfence.exchange.gateway.rest import (
    account,
    assurance,
    custody,
    execution,
    halt,
    instrument,
    market_data,
    order,
    porl,
    position,
    schema,
    security,
    shed,
    subaccount,
    user,
    withdrawal,
)
from ringfence.exchange.gateway.rest.route import LATER, ROUTES, Request, Route, encode, limit_headers

__all__ = [
    "LATER", "ROUTES", "Request", "Route", "account", "assurance", "custody", "encode", "execution", "halt",
    "instrument", "limit_headers", "market_data", "order", "porl", "position", "schema", "security", "shed",
    "subaccount", "user", "withdrawal",
]  # fmt: skip
