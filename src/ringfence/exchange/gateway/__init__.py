"""The gateway: BitMEX's REST and WebSocket text in, command records on, replies and streams out.

| module                          | what is in it                                                    |
|---------------------------------|------------------------------------------------------------------|
| gateway                         | `Gateway`: one port, who may pass, which handler                 |
| http                            | HTTP/1.1 connections                                             |
| policies                        | what browsers are told with every answer                         |
| origins                         | which site's page asks                                           |
| authentication, limits          | who asks, what they may, how often                               |
| people                          | who is signed in, by asking the account desk                     |
| custody                         | what custody is asked                                            |
| parameters, values              | text into values, exact numbers into ticks                       |
| commands, conditions            | values into command records; stops, pegs and links               |
| desk                            | commands to the core, results back, views up to date             |
| pending                         | what was sent and has no outcome yet                             |
| errors, refusals                | refusals in BitMEX's words; the engine's among them              |
| rest/                           | the endpoints, one file a noun                                   |
| websocket/                      | sessions, topics, streams                                        |
| swagger                         | the API's description of itself                                  |
"""

from ringfence.configuration import Limits
from ringfence.exchange.gateway.gateway import Config, Gateway
from ringfence.exchange.users.keys import (
    KeyLimits,
    KeyRecord,
    Permission,
    new_record,
    read_records,
    write_records,
)

__all__ = [
    "Config", "Gateway", "KeyLimits", "KeyRecord", "Limits", "Permission", "new_record", "read_records",
    "write_records",
]  # fmt: skip
