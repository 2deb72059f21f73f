"""How a machine comes by its stream's servers: whose they are is in its configuration, what it shows them beside it."""

import logging
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from ringfence.daemons import cluster
from ringfence.daemons.cluster import ClusterConfig, Login
from ringfence.daemons.pinned_tls import client_context
from ringfence.exchange.journal import Servers, StreamUnavailableError
from ringfence.exchange.journal.etcd import EtcdServers
from ringfence.exchange.journal.jetstream import NatsServers, connect, hang_up

log = logging.getLogger(__name__)


async def open_servers(directory: Path, config: ClusterConfig, *, name: str = "") -> Servers:
    """Connect. Raises StreamUnavailableError; OSError or ValueError if what it needs for that is no good."""
    if config.is_etcd:
        return await EtcdServers.open(
            config.servers, context=servers_context(directory), prefix=config.stream
        )
    user, password = cluster.read_login(directory)
    servers = await NatsServers.open(
        config.servers, user=user, password=password, context=nats_context(directory, config),
        name=name or config.node, subject=config.stream, replicas=config.replicas,
    )  # fmt: skip
    if not config.has_tls:
        log.warning(
            "the stream's servers are spoken to without TLS: who listens on the network reads the journal and the "
            "password. docs/operating/cluster.md says how an older cluster goes over to tls://"
        )
    return servers


async def renew(servers: Servers, directory: Path, config: ClusterConfig) -> None:
    """Connect with what the directory has now, and go over to that. Raises StreamUnavailableError, OSError, ValueError.

    After an error everything is as before.
    """
    if isinstance(servers, EtcdServers):
        await servers.renew(context=servers_context(directory))
    elif isinstance(servers, NatsServers):
        user, password = cluster.read_login(directory)
        await servers.renew(user=user, password=password, context=nats_context(directory, config))


async def lets_in(
    directory: Path, config: ClusterConfig, address: str, *,
    context: ssl.SSLContext | None = None, login: Login | None = None,
) -> bool:  # fmt: skip
    """Return whether the server at HOST:PORT lets a machine in, with what its directory has or with these instead.

    One of etcd's has to ask the others for this, so most of them answer. Raises OSError, ValueError.
    """
    url = f"{urlsplit(config.servers[0]).scheme}://{address}"
    try:
        if config.is_etcd:
            context = context or servers_context(directory)
            one = await EtcdServers.open((url,), context=context, prefix=config.stream)
            await one.close()
            return True
        user, password = login or cluster.read_login(directory)
        context = context or nats_context(directory, config)
        client = await connect([url], user=user, password=password, name="a rotation", context=context)
    except StreamUnavailableError:
        return False
    # A client that one refuses goes on to the others that it names.
    found = client.connected_url
    await hang_up(client)
    return found is not None and found.netloc == address


def servers_context(directory: Path) -> ssl.SSLContext:
    """Return what a machine needs to speak to the stream's servers with TLS. Raises OSError, ssl.SSLError."""
    return client_context(directory / cluster.FOLDER, cluster.servers_certificates(directory))


def nats_context(directory: Path, config: ClusterConfig) -> ssl.SSLContext | None:
    """Return the same, None for an older cluster that speaks in the clear. Raises OSError, ssl.SSLError."""
    return servers_context(directory) if config.has_tls else None
