"""`ringfence up`: found an exchange, or start the one that is there, and run it until Ctrl-C."""

import sys
from pathlib import Path
from typing import Annotated, Literal

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
    chains: bool = True,
    cluster: bool = False,
    stream: Literal["nats", "etcd"] = "nats",
    coin_keys: int | None = None,
    database: Path | None = None,
    fix_port: int | None = None,
    accounts: Annotated[int, Parameter(help="Demo accounts; more can be opened later.")] = 2,
) -> None:
    """Start every process of an exchange on this machine.

    Parameters
    ----------
    directory
        Where its journal, keys and logs are.
    port
        The one port of REST and WebSocket; 8040 for a new exchange, which keeps it in `ringfence.toml`. Later it goes
        before the port there, this time alone.
    bots
        Run the market makers and takers.
    custody
        Run custody: a Bitcoin chain of its own (regtest), five co-signers, coordinator, address verifier.
    tpm
        Give each co-signer a TPM in software (swtpm), which keeps its PIN and its counters; when it is founded.
    beacon
        `quicknet`: drand's rounds take part in every draw of a quorum, from the founding on. It needs the internet;
        withdrawals wait for the round.
    chains
        Run development chains of Ethereum and Solana too, and connect them and a hot wallet of small Bitcoin payments:
        each gets a key that nobody has. It needs the MPC engine (`make mpc`), Ethereum also anvil (`make anvil`).
    cluster
        Keep the journal on three servers as well, and run three cores of which one leads; kill any of them.
        More gateways answer on the two ports after this one. An exchange that ran alone goes on as a cluster, and stays
        one.
    stream
        Whose servers those are: NATS's hold everything; etcd's (Debian package etcd-server) choose a leader sooner.
    coin_keys
        Keys of each co-signer's token for the clients' coins: for as many deposit addresses, and for the change of as
        many payments. 48 when custody is founded; more than it has, at any later start, extend it.
    database
        A file with the URL of a PostgreSQL, for history, accounts and API keys; it is kept as `database.url`, readable
        by its owner alone. Without it they are in SQLite and in files, or where `database.url` says.
    fix_port
        Run the FIX 4.4 gateway as well, on this port of 127.0.0.1. Whoever trades there uses the API keys of REST. Kept
        and overruled as `port` is.
    """
    from ringfence.custody.demonstration import CLIENTS_KEYS
    from ringfence.daemons.supervisor import Options, up

    if not 0 <= accounts <= 100_000:
        sys.exit("--accounts is a number from 0 to 100000")
    if coin_keys is not None and not 1 <= coin_keys <= 10_000:
        sys.exit("--coin-keys is a number from 1 to 10000")
    if fix_port is not None and not 1 <= fix_port <= 65_535:
        sys.exit("--fix-port is a number from 1 to 65535")
    options = Options(
        directory, port, bots, accounts, custody, tpm, beacon, chains, stream if cluster else "",
        coin_keys or CLIENTS_KEYS, database, fix_port,
    )  # fmt: skip
    sys.exit(up(options))
