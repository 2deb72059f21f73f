"""What is listed: inverse, linear and quanto contracts, perpetual or dated, and spot pairs.

| module        | what is in it                                                |
|---------------|--------------------------------------------------------------|
| specification | one instrument, its JSON, the integers the engine gets       |
| value         | value, profit, fee and margin formulas in exact integers     |
| catalogue     | what a new venue lists                                       |
| listing       | the commands that list an instrument                         |
"""

from ringfence.instruments.specification import Instrument, decode, encode

__all__ = ["Instrument", "decode", "encode"]
