"""What the real thing and its fake must both do, so that a test on the fake says something."""

from collections.abc import Callable

from ringfence.assurance.audit.chains import ChainError, ChainReader, Tip
from ringfence.exchange.disk import Disk


def check_disk(disk: Disk) -> None:
    """Check an empty disk. Raises AssertionError."""
    assert disk.names("") == []
    file = disk.create("b.part", 1000)
    assert disk.names("") == ["b.part"]
    assert disk.size("b.part") == 1000
    assert disk.read("b.part") == bytes(1000)
    assert _refuses(FileExistsError, lambda: disk.create("b.part", 10))
    assert disk.size("b.part") == 1000

    file.write_at(10, b"hello")
    assert disk.read("b.part", 9, 7) == b"\0hello\0"
    file.sync()
    file.write_at(12, b"LL")
    file.close()
    assert disk.read("b.part", 10, 5) == b"heLLo"
    assert disk.read("b.part", 998) == b"\0\0"
    assert disk.read("b.part", 998, 100) == b"\0\0"
    assert disk.read("b.part", 2000) == b""

    again = disk.open("b.part")
    again.write_at(998, b"beyond")
    again.sync()
    again.close()
    assert disk.size("b.part") == 1004
    assert disk.read("b.part", 996) == b"\0\0beyond"

    disk.put("a.part", b"one")
    disk.put("a.part", b"two!")
    disk.put("a.other", b"")
    assert disk.read("a.part") == b"two!"
    assert disk.read("a.other") == b""
    assert disk.names(".part") == ["a.part", "b.part"]
    assert disk.names(".none") == []
    disk.put("a.part", b"in ", memoryview(b"two parts"))
    assert disk.read("a.part") == b"in two parts"
    disk.remove("a.part")
    assert not disk.exists("a.part")
    assert disk.names("") == ["a.other", "b.part"]
    disk.create("a.part", 4).close()
    assert disk.read("a.part") == bytes(4)

    grown = disk.begin("grown")
    grown.write_at(0, b"hello, world")
    reader = disk.open_to_read("grown")
    assert reader.read_at(7, 100) == b"world"
    grown.truncate(5)
    assert reader.read_at(0, 100) == disk.read("grown") == b"hello"
    grown.sync()
    disk.sync_names()
    disk.begin("grown").close()
    assert disk.size("grown") == 0
    assert not reader.is_removed()
    disk.remove("grown")
    assert reader.is_removed()
    grown.close()
    reader.close()
    for missing in (disk.read, disk.size, disk.open, disk.remove):
        assert _refuses(FileNotFoundError, lambda missing=missing: missing("nowhere"))  # type: ignore[misc]


def check_chain_reader(reader: ChainReader, *, asset: int, receive: Callable[[int], None]) -> None:
    """Check a chain reader; `receive` lets so many units arrive, and be confirmed. Raises AssertionError."""
    before = reader.tip()
    held = reader.confirmed(asset, before)
    assert held >= 0
    assert reader.tip() == before
    assert reader.confirmed(asset, before) == held
    receive(7)
    after = reader.tip()
    assert after.height > before.height
    assert after.digest != before.digest
    assert reader.confirmed(asset, after) == held + 7
    # Nothing is said but as of a block, so an older one is still answered for as it was.
    assert reader.confirmed(asset, before) == held
    for about in (reader.change_in_flight, reader.uncredited, reader.paid_ahead):
        assert about(asset, after) >= 0
    try:
        reader.confirmed(asset, Tip(after.height + 100, "nobody's"))
    except ChainError:
        return
    raise AssertionError("a block that is not in the chain was answered for")


def _refuses(error: type[OSError], action: Callable[[], object]) -> bool:
    try:
        action()
    except error:
        return True
    return False
