"""The realtime API under /realtime.

| module    | what is in it                                                         |
|-----------|-----------------------------------------------------------------------|
| session   | one connection: commands in, frames out, in order                     |
| topics    | what can be subscribed to, and the first image of each                |
| publisher | who listens to what; changes into frames, made once for all listeners |
| orders    | order entry over an authenticated connection                          |
| frame     | a WebSocket frame around a payload                                    |
"""

from ringfence.exchange.gateway.websocket.publisher import Publisher
from ringfence.exchange.gateway.websocket.session import Session

__all__ = ["Publisher", "Session"]
