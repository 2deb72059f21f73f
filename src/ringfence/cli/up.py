"""`ringfence up`: found an exchange, or start the one that is there, and run it until Ctrl-C."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

DIRECTORY = Path("var/exchange")


def up(
    directory: Path = DIRECTORY,
    *,
    port: int | None = None,
    bots: bool = True,
    custody: bool = True,
    tpm: bool = False,
    beacon: str = "",
    accounts: Annotated[int, Parameter(help="Demo accounts; more can be opened later.")] = 2,
) -> None:
    """Start every process of an exchange on this machine.

    Parameters
    ----------
    directory
        Where its journal, keys and logs are.
    port
        The one port of REST and WebSocket; 8040 for a new exchange.
    bots
        Run the market makers and takers.
    custody
        Run Bitcoin custody on a regtest chain of its own: node, five co-signers, coordinator, address verifier.
    tpm
        Give each co-signer a TPM in software (swtpm), which keeps its PIN and its counters; when it is founded.
    beacon
        `quicknet`: drand's rounds take part in every draw of a quorum, from the founding on. It needs the internet;
        withdrawals wait for the round.
    """
    from ringfence.daemons.supervisor import Options, up

    if not 0 <= accounts <= 100_000:
        sys.exit("--accounts is a number from 0 to 100000")
    sys.exit(up(Options(directory, port, bots, accounts, custody, tpm, beacon)))
