"""Integers that mean something: limits with proofs, rounding with a direction, assets, time.

| module   | what is in it                                                        |
|----------|----------------------------------------------------------------------|
| limits   | the largest value of every quantity, and the proof that products fit |
| rounding | exact integer division: floor, ceiling, half away from zero          |
| assets   | settlement assets and their smallest ledger unit                     |
| time     | nanosecond stamps and the ISO-8601 text of the wire                  |
"""
