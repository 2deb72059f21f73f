"""Market makers and takers: ordinary clients of the public WebSocket API, with keys of their own.

| module     | what is in it                                                  |
|------------|----------------------------------------------------------------|
| connection | one authenticated connection: requests, replies, rows          |
| contract   | what a bot needs to know of an instrument, from its public row |
| ladder     | which orders a maker wants, and the fewest steps to get there  |
| maker      | keeps ten levels a side in every market                        |
| taker      | trades every few seconds and leans back to flat                |
| watch      | looks once a minute whether the money lasts                    |
"""
