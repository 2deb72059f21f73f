"""Judges: they read what the exchange did, compute it again, and the only thing they can do is halt.

| package | what is in it                                                       |
|---------|---------------------------------------------------------------------|
| shadow  | the exchange rules a second time, in plain integers: slow and obvious |
"""
