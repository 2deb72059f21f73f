"""`ringfence cluster`: which machine leads, handing over, filling an empty stream."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ringfence.cli.up import DIRECTORY

if TYPE_CHECKING:
    from ringfence.daemons.cluster import ClusterConfig

app = App(name="cluster", help="The machines of one exchange: who leads, and how far the others are.")
_ASK_SECONDS, _READ_SECONDS = 3.0, 10.0
EXIT_REFUSED, EXIT_UNAVAILABLE = 1, 69
_HEADS = ("machine", "role", "leader", "epoch", "entry", "sequence", "behind", "roots", "silent", "rules")


@app.command
def status(directory: Path = DIRECTORY, *, as_json: Annotated[bool, Parameter("--json")] = False) -> None:
    """Show every machine whose directory is on this one, and what the others are heard to be.

    Parameters
    ----------
    directory
        Of the exchange, or of one machine.
    as_json
        One JSON object a line, one line a machine.
    """
    from rich.console import Console
    from rich.table import Table

    rows = [(name, _ask(own, ask="status")) for name, own in _directories(directory).items()]
    if as_json:
        for name, said in rows:
            print(json.dumps(said or {"node": name, "role": "down"}))
    else:
        table = Table(box=None, header_style="bold")
        for head in _HEADS:
            table.add_column(head, justify="left" if head in ("machine", "role", "leader") else "right")
        for name, said in rows:
            table.add_row(name, *_cells(said))
        Console().print(table)
    sys.exit(0 if any(said and said["role"] == "leader" for _, said in rows) else EXIT_REFUSED)


def _cells(said: dict[str, Any] | None) -> list[str]:
    if said is None:
        return ["[red]down[/]", *[""] * (len(_HEADS) - 2)]
    names = ("role", "leader", "epoch", "number", "sequence", "behind", "roots", "silentSeconds")
    # A core that was not started again since the last release may not say what it knows.
    rules = f"{said['rules']} of {said['rulesNewest']}" if "rules" in said else "?"
    return [*(str(said[name]) if said[name] is not None else "nobody" for name in names), rules]


@app.command
def hand_over(directory: Path = DIRECTORY, *, to: str = "") -> None:
    """Have the machine that leads finish what it has and let another one lead: before it is stopped or upgraded.

    Parameters
    ----------
    directory
        Of the exchange, or of the machine that leads.
    to
        The machine that leads next; without it whichever asks first.
    """
    for name, own in _directories(directory).items():
        said = _ask(own, ask="status")
        if said is None or said["role"] != "leader":
            continue
        answer = _ask(own, ask="hand-over", to=to)
        if answer is None:
            print(f"{name} did not answer; look at `ringfence cluster status`", file=sys.stderr)
            sys.exit(EXIT_UNAVAILABLE)
        if "error" in answer:
            print(answer["error"], file=sys.stderr)
            sys.exit(EXIT_REFUSED)
        print(f"{name} hands over to {answer['successor']}")
        return
    print("no machine here leads; nothing was done. Run this where the leader is.", file=sys.stderr)
    sys.exit(EXIT_REFUSED)


@app.command
def seed(directory: Path = DIRECTORY) -> None:
    """Fill an empty stream from this machine's journal, while no core runs.

    Parameters
    ----------
    directory
        Of the machine whose journal is whole: `ringfence journal verify` first.
    """
    from rich.progress import Progress

    from ringfence.daemons.cluster_seeding import SeedError
    from ringfence.daemons.cluster_seeding import seed as fill

    with Progress() as progress:
        task = progress.add_task("seeding", total=None)
        try:
            count = asyncio.run(
                fill(
                    directory,
                    on_progress=lambda done, total: progress.update(task, completed=done, total=total),
                )
            )
        except SeedError as error:
            sys.exit(str(error))
    print(f"{count} frames are in the stream")


@app.command
def found(directory: Path, *, host: tuple[str, ...]) -> None:
    """Write what three machines of their own are set up with: keys, certificates, passwords. Once.

    DIRECTORY becomes the first machine's; DIRECTORY/nodes/ has the others', and DIRECTORY/stream each
    stream server's configuration. Bring each machine its own at the same paths, and nothing of the others'.

    Parameters
    ----------
    directory
        An empty one, or an exchange's on one machine that does not run.
    host
        The machines' addresses or names, three times. Ports are 7000, 4222 and 6222.
    """
    from ringfence.daemons.cluster import NAME
    from ringfence.daemons.cluster_founding import NODES, Ports
    from ringfence.daemons.cluster_founding import found as write

    if len(set(host)) != NODES:
        sys.exit(f"--host is given {NODES} times, a different one each time; nothing was written")
    if (directory / NAME).exists():
        sys.exit(f"{directory} belongs to a cluster already; nothing was written")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout = write(directory.absolute(), hosts=host, ports=Ports())
    except OSError as error:
        sys.exit(f"the cluster was not founded: {error}")
    for name, own in layout.directories.items():
        print(f"{name}: {own}")


@app.command
def rotate_certificates(
    directory: Path = DIRECTORY, *, node: str = "", step: str = "all", certificate: Path | None = None
) -> None:
    """Give machines and the stream's servers new keys and certificates, while they run; no line is cut.

    With all machines' directories on this one, everything is done. On machines of their own, run the steps in this
    order: `prepare` on the machine; `trust` with its `cluster/next/tls.crt` on every other one; `switch` on the
    machine; `drop` on every other one. Do the same for each of the stream's servers, and `trust` and `drop` on the
    machine itself too. NATS's servers are told to read their files again. etcd's are to be started again, one after
    the other, after all have trusted, and after all have dropped; where everything is done here, whoever looks after
    them has to start again what ends.

    Parameters
    ----------
    directory
        Of the exchange, or of this machine.
    node
        Whose certificate it is: a machine, or one of the stream's servers; `all` replaces everybody's without it.
    step
        `all`, `prepare`, `trust`, `switch` or `drop`.
    certificate
        For `trust`: the file that `prepare` made.
    """
    from ringfence.daemons import cluster_rotation as rotation
    from ringfence.daemons.cluster import read_cluster

    directories = _directories(directory)
    config = read_cluster(directory)
    assert config is not None
    servers = rotation.servers_of(directory)
    try:
        if step == "all":
            if node and config.has_tls:
                sys.exit("all certificates are replaced together: leave --node out; nothing was done")
            _check_all_here(config, directories, servers=len(servers))
            names = [node] if node else list(directories)
            asyncio.run(_rotate(config, directories, names, servers if config.has_tls else {}))
            return
        own = directories.get(node, directory) if step in ("prepare", "switch") else directory
        if step == "prepare":
            print(rotation.prepare(own, node), end="")
            return
        if step == "trust" and certificate is not None:
            rotation.trust(own, node, certificate.read_text())
        elif step == "switch":
            rotation.switch(own, node)
        elif step == "drop":
            rotation.drop(own, node)
        else:
            sys.exit("--step is all, prepare, trust (with --certificate), switch or drop; nothing was done")
        if config.has_tls and not config.is_etcd:
            for configuration in servers.values():
                rotation.have_read(configuration)
        _ask_core(own, "certificates")
        if config.has_tls:
            _ask_core(own, "servers")
    except (OSError, ValueError, rotation.RotationError) as error:
        sys.exit(f"{error}; look at `ringfence cluster status` and do this step again")


async def _rotate(
    config: "ClusterConfig", directories: dict[str, Path], names: list[str], servers: dict[str, Path]
) -> None:
    """Replace the certificates of machines and servers that are all here. Raises RotationError, OSError, ValueError."""
    from ringfence.daemons import cluster_rotation as rotation
    from ringfence.daemons.cluster import FOLDER
    from ringfence.daemons.cluster_servers import servers_context

    first = next(iter(directories.values()))
    mine, upcoming = first / FOLDER, first / FOLDER / rotation.NEXT
    owners = {**{name: directories[name] for name in names}, **dict.fromkeys(servers, first)}
    for name, own in owners.items():
        text = rotation.prepare(own, name)
        for peer in directories.values():
            rotation.trust(peer, name, text)
    await _read_all_again(directories)
    for configuration in servers.values():
        await rotation.taken_up(first, config, configuration, shown=upcoming)
    print("everybody knows everybody's next certificate")
    old = servers_context(first) if servers else None
    for name, own in owners.items():
        rotation.switch(own, name)
    # etcd's servers read what is their own whenever they show it.
    for configuration in () if config.is_etcd else servers.values():
        await rotation.taken_up(first, config, configuration, shown=mine)
    await _read_all_again(directories)
    print("everybody has a new certificate")
    for name in owners:
        for peer in directories.values():
            rotation.drop(peer, name)
    await _read_all_again(directories)
    for configuration in servers.values():
        await rotation.taken_up(first, config, configuration, shown=mine, refused=old)
    print("nobody knows an old one any more")


async def _read_all_again(directories: dict[str, Path]) -> None:
    """Have every core take its certificates into use, to the others and to the servers. Raises ValueError."""
    for own in directories.values():
        for what in ("certificates", "servers"):
            await asyncio.to_thread(_ask_core, own, what)


@app.command
def rotate_password(directory: Path = DIRECTORY, *, step: str = "all") -> None:
    """Give the exchange a new user and password at NATS's servers, while it trades.

    With all machines' directories and servers on this one, everything is done. On machines of their own: `prepare` on
    one, and bring its `cluster/next/password` to every other one, readable by its owner only. Then `allow` on every
    one; then `use` on every one; then `drop` on every one. Each step checks that the one before was done here.

    Parameters
    ----------
    directory
        Of the exchange, or of this machine.
    step
        `all`, `prepare`, `allow`, `use` or `drop`.
    """
    from ringfence.daemons import cluster_password as passwords
    from ringfence.daemons import cluster_rotation as rotation
    from ringfence.daemons.cluster import read_cluster

    directories = _directories(directory)
    config = read_cluster(directory)
    assert config is not None
    if config.is_etcd:
        sys.exit("etcd's servers know machines by certificates and ask for no password; nothing was done")
    configurations = list(rotation.servers_of(directory).values())
    try:
        if step == "all":
            _check_all_here(config, directories, servers=len(configurations))
            asyncio.run(_rotate_password(list(directories.values()), configurations))
        elif step == "prepare":
            passwords.prepare(directory)
            print(passwords.next_of(directory))
        elif step == "allow":
            asyncio.run(_allow(directory, configurations))
        elif step == "use":
            passwords.use(directory)
            _ask_core(directory, "servers")
        elif step == "drop":
            for configuration in configurations:
                passwords.drop(directory, configuration)
                rotation.have_read(configuration)
            passwords.forget_next(directory)
        else:
            sys.exit("--step is all, prepare, allow, use or drop; nothing was done")
    except (OSError, ValueError, rotation.RotationError) as error:
        sys.exit(f"{error}; look at `ringfence cluster status` and do this step again")


async def _allow(own: Path, configurations: list[Path]) -> None:
    """Let every server here know both users, and see that it does. Raises RotationError, OSError, ValueError."""
    from ringfence.daemons import cluster_password as passwords

    new = passwords.prepare(own)
    for configuration in configurations:
        passwords.allow(own, configuration)
        await passwords.taken_up(own, configuration, new)


async def _rotate_password(machines: list[Path], configurations: list[Path]) -> None:
    """Do every step for machines and servers that are all here. Raises RotationError, OSError, ValueError."""
    from ringfence.daemons import cluster_password as passwords
    from ringfence.daemons.cluster import read_login
    from ringfence.files import replace

    new = passwords.prepare(machines[0])
    for own in machines[1:]:
        passwords.next_of(own).parent.mkdir(mode=0o700, exist_ok=True)
        replace(passwords.next_of(own), new.encode())
    # After a crash some machines may be the new user already: one that is not says what the old one was.
    behind = next((own for own in machines if read_login(own) != new), machines[0])
    await _allow(behind, configurations)
    old = read_login(behind)
    print(f"every server knows {new.user} beside {old.user}")
    for own in machines:
        passwords.use(own)
        await asyncio.to_thread(_ask_core, own, "servers")
    print(f"every machine is {new.user}")
    for configuration in configurations:
        passwords.drop(machines[0], configuration)
        await passwords.taken_up(machines[0], configuration, old, is_wanted=old == new)
    for own in machines:
        passwords.forget_next(own)
    print(f"no server knows {old.user} any more")


def _check_all_here(config: "ClusterConfig", directories: dict[str, Path], *, servers: int) -> None:
    """End here unless all machines' directories and all of the stream's servers are on this machine."""
    if set(config.nodes) - set(directories) or servers < len(config.servers):
        sys.exit("some machines' directories or servers are elsewhere: go step by step; nothing was done")


def _ask_core(directory: Path, what: str) -> None:
    """Have a core read something again; one that does not run reads it at its start. Raises ValueError."""
    answer = _ask(directory, seconds=_READ_SECONDS, ask=what)
    if answer is not None and "error" in answer:
        raise ValueError(answer["error"])


def _directories(directory: Path) -> dict[str, Path]:
    """Return the machines of a cluster on this one, or the one whose directory it is."""
    from ringfence.daemons.cluster import read_cluster
    from ringfence.daemons.cluster_founding import NODES_FOLDER

    try:
        config = read_cluster(directory)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    if config is None:
        sys.exit(f"{directory} belongs to no cluster; start one with `ringfence up --cluster`")
    found = {config.node: directory}
    for path in sorted((directory / NODES_FOLDER).glob("*/cluster.toml")):
        found[path.parent.name] = path.parent
    return found


def _ask(directory: Path, *, seconds: float = _ASK_SECONDS, **question: str) -> dict[str, Any] | None:
    from ringfence.daemons.cluster import SOCKET
    from ringfence.lines import NoAnswerError, ask

    try:
        return asyncio.run(ask(directory / SOCKET, question, seconds=seconds))
    except NoAnswerError:
        return None
