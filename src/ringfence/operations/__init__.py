"""What is done to an exchange from outside while it runs or after it was lost.

| package | what is in it                                                              |
|---------|----------------------------------------------------------------------------|
| backup  | sealed copies of what cannot be made again, and their way back, with proof |
"""
