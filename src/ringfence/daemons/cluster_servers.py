"""How a machine comes by its stream's servers: whose they are is in its configuration, what it shows them beside it."""

from pathlib import Path

from ringfence.daemons import cluster
from ringfence.daemons.cluster import ClusterConfig
from ringfence.daemons.pinned_tls import client_context
from ringfence.exchange.journal import Servers
from ringfence.exchange.journal.etcd import EtcdServers
from ringfence.exchange.journal.jetstream import NatsServers


async def open_servers(directory: Path, config: ClusterConfig, *, name: str = "") -> Servers:
    """Connect. Raises StreamUnavailableError; OSError or ValueError if what it needs for that is no good."""
    if config.is_etcd:
        folder = directory / cluster.FOLDER
        context = client_context(folder, folder / cluster.ETCD_CERTIFICATES)
        return await EtcdServers.open(config.servers, context=context, prefix=config.stream)
    return await NatsServers.open(
        config.servers, user=cluster.USER, password=cluster.read_password(directory), name=name or config.node,
        subject=config.stream, replicas=config.replicas,
    )  # fmt: skip
