"""The FIX 4.4 room: sessions of order entry and of drop copies, on the gateway's desk.

| module     | what is in it                                                                        |
|------------|--------------------------------------------------------------------------------------|
| framing    | bytes into whole messages; what is garbled is passed over                             |
| dictionary | which fields a message must and may have, and what a message is refused for           |
| message    | one message: read, checked, written                                                   |
| store      | what a session has said and heard, in a file that outlives the process                |
| session    | sequence numbers, resends, heartbeats, logout: no sockets, no clock                   |
| entry      | orders in FIX's words into the commands of order entry                                |
| reports    | executions and refusals in FIX's words                                                |
| trading    | what one session has asked, what came of it, which reports are its own                |
| house      | every session of the exchange, and the desk behind them                               |
| server     | connections: who logs on, how fast, how long                                          |

The codec is simplefix. What orders mean is decided where REST and WebSocket decide it, in `exchange.gateway`.
"""

from ringfence.exchange.fix.server import Config, FixServer

__all__ = ["Config", "FixServer"]
