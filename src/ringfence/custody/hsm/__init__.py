"""Where keys live: inside tokens that speak PKCS#11, and what shows that nobody has touched one.

| module   | what is in it                                                                  |
|----------|--------------------------------------------------------------------------------|
| token    | `Token`: keys are made inside and never leave; signatures over digests          |
| lockout  | wrong PINs are counted here, because not every token does                       |
| counter  | a number that only grows: who brings back an old copy of a machine is found out |
| tpm      | a TPM beside the token: counters, a signed measurement, a PIN for the right files alone |
| evidence | what a token is and how far it is, signed by its identity key, and the check    |

SoftHSM, which development uses, protects nothing by itself: its key files can be copied and their attributes
changed. What protects then is the measurement of its files, the secrecy of the PIN and the other co-signers, who
remember. `protects` says for each kind of token what it does and does not.
"""

from ringfence.custody.hsm.counter import CounterError, FileCounter
from ringfence.custody.hsm.evidence import (
    Baseline,
    Evidence,
    EvidenceError,
    Witness,
    check_evidence,
    measure_directory,
)
from ringfence.custody.hsm.lockout import Lockout, TokenLockedError
from ringfence.custody.hsm.token import (
    HsmError,
    KeyMissingError,
    Token,
    TokenMissingError,
    WrongPinError,
    protects,
    softhsm_module,
)
from ringfence.custody.hsm.tpm import Tpm, TpmError

__all__ = [
    "Baseline", "CounterError", "Evidence", "EvidenceError", "FileCounter", "HsmError", "KeyMissingError",
    "Lockout", "Token", "TokenLockedError", "TokenMissingError", "Tpm", "TpmError", "Witness", "WrongPinError",
    "check_evidence", "measure_directory", "protects", "softhsm_module",
]  # fmt: skip
