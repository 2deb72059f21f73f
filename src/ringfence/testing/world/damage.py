"""What happens to files while nobody looks: bits rot, files vanish. And how to put it right again."""

import random
from typing import NamedTuple

from ringfence.exchange.journal import JournalError, JournalReader
from ringfence.exchange.sequencer import Disks
from ringfence.testing.disk import SimulatedDisk


class Damage(NamedTuple):
    """A journal that must not be opened as if nothing were wrong, with what it was before."""

    what: str
    files: dict[str, bytes]


def spoil_journal(disks: Disks, dice: random.Random) -> Damage | None:
    """Damage what was acknowledged; None if there is nothing yet. Only while no machine stopped meanwhile.

    The feed in the cache knows what was acknowledged, so a journal that lost some of it must be refused.
    """
    disk = disks.journal
    assert isinstance(disk, SimulatedDisk)
    places = []
    try:
        reader = JournalReader(disk)
        for frame in reader.frames():
            places.append((reader.segment, reader.offset - frame.size, reader.offset))
    except JournalError:
        return None
    if not places:
        return None
    files = {name: disk.read(name) for name in disk.names(".journal")}
    what = dice.choice(("flip", "flip", "flip", "lose the last frame", "lose a segment"))
    if what == "flip":
        segment, begin, end = dice.choice(places)
        disk.rot(segment, dice.randrange(begin, end), 1 << dice.randrange(8))
    elif what == "lose the last frame":
        segment, begin, end = places[-1]
        disk.overwrite(segment, begin, bytes(end - begin))
    else:
        disk.forget(dice.choice(sorted(files)))
    return Damage(what, files)


def restore_journal(disks: Disks, damage: Damage, *, is_open: bool = False) -> None:
    """Put the files back as a backup would; the last one stays as it is while a journal is open on it."""
    disk = disks.journal
    assert isinstance(disk, SimulatedDisk)
    last = max(disk.names(".journal"), default="") if is_open else ""
    for name, raw in damage.files.items():
        if name != last and (not disk.exists(name) or disk.read(name) != raw):
            disk.restore(name, raw)


def verify(disks: Disks, *, acknowledged: int) -> None:
    """Check the whole journal, as `ringfence journal verify` does. Raises JournalError."""
    reader = JournalReader(disks.journal)
    for _ in reader.frames():
        pass
    reader.check_end(acknowledged=acknowledged)


def spoil_snapshot(disks: Disks, dice: random.Random) -> bool:
    """Damage the newest snapshot; it must be passed over."""
    disk = disks.snapshots
    assert isinstance(disk, SimulatedDisk)
    names = disk.names(".snapshot")
    if not names:
        return False
    size = disk.size(names[-1])
    what = dice.choice(("flip", "cut", "empty", "other"))
    if what == "flip" and size:
        disk.rot(names[-1], dice.randrange(size), 1 << dice.randrange(8))
    elif what == "other" and len(names) > 1:
        disk.restore(names[-1], disk.read(names[0]))
    else:
        disk.restore(names[-1], b"" if what == "empty" else disk.read(names[-1])[: size // 2])
    return True


def spoil_feed(disks: Disks, dice: random.Random) -> bool:
    """Damage or remove feed files; all of it is in the journal.

    The last one or all: of older ones it is known that they were synced, and a start does not read them.
    """
    disk = disks.feed
    assert isinstance(disk, SimulatedDisk)
    names = disk.names(".feed")
    if not names:
        return False
    what = dice.choice(("flip", "last", "all"))
    if what == "flip":
        size = disk.size(names[-1])
        if not size:
            return False
        disk.rot(names[-1], dice.randrange(size), 1 << dice.randrange(8))
    else:
        for name in names if what == "all" else names[-1:]:
            disk.forget(name)
    return True
