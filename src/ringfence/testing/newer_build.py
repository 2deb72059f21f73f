"""A build that is newer than this one: the same source with one version of the rules more, for tests of upgrades.

The version brings a command, PAUSE, and a parameter of the venue, PAUSE_NS, which both set how long cancels only are
taken after a halt. They are written into the copy as somebody would write them who adds a version: the tests that use
it are also a test of what messages/rules.py says about how that is done.
"""

import shutil
from pathlib import Path

from ringfence.messages.rules import RULES_NEWEST

NEWER = RULES_NEWEST + 1
PAUSE = PAUSE_NS = 200
"""The number of the command, and of the parameter: one that is far from all others."""
_CHANGES = {
    "messages/rules.py": (
        (f"RULES_NEWEST = {RULES_NEWEST}\n", f"RULES_NEWEST = {NEWER}\n"),
        ("COMMANDS: Mapping[int, tuple[Command, ...]] = {\n",
         f"COMMANDS: Mapping[int, tuple[Command, ...]] = {{\n    {NEWER}: (Command.PAUSE,),\n"),
        ("PARAMETERS: Mapping[int, tuple[VenueParameter, ...]] = {\n",
         f"PARAMETERS: Mapping[int, tuple[VenueParameter, ...]] = {{\n    {NEWER}: (VenueParameter.PAUSE_NS,),\n"),
    ),
    "messages/commands.py": (
        ("    DATA = 255\n", f"    PAUSE = {PAUSE}\n    DATA = 255\n"),
        ("    FEE_DISCOUNT_6 = 16\n", f"    FEE_DISCOUNT_6 = 16\n    PAUSE_NS = {PAUSE_NS}\n"),
    ),
    "exchange/engine/kernel.py": (
        ("    elif kind == RESUME:\n", f"    elif kind == {PAUSE}:\n        h.cancel_only_ns = cmd.qty\n"
         "    elif kind == RESUME:\n"),
    ),
    "exchange/engine/listing.py": (
        ("    elif cmd.type == _RULES:\n", f"    elif cmd.type == {PAUSE_NS}:\n        h.cancel_only_ns = cmd.qty\n"
         "    elif cmd.type == _RULES:\n"),
        ("    if parameter == _RULES:\n", f"    if parameter == {PAUSE_NS}:\n        return bool(value >= 0)\n"
         "    if parameter == _RULES:\n"),
    ),
    "assurance/shadow/shadow.py": (
        ("    Command.RESUME: halting.resume,\n", "    Command.RESUME: halting.resume,\n"
         "    Command.PAUSE: lambda venue, asked: setattr(venue, 'cancel_only_ns', asked.qty),\n"),
    ),
    "assurance/shadow/listing.py": (
        ("    elif parameter == VenueParameter.RULES and",
         "    elif parameter == VenueParameter.PAUSE_NS and value >= 0:\n"
         "        venue.cancel_only_ns = value\n    elif parameter == VenueParameter.RULES and"),
    ),
}  # fmt: skip


def newer_build(folder: Path) -> dict[str, str]:
    """Write the build into a new folder and return what runs it instead of this one, for a process's environment.

    It is not compiled: that would take longer than all that a test asks of it.
    """
    ours = Path(__file__).parents[1]
    shutil.copytree(ours, folder / "ringfence", ignore=shutil.ignore_patterns("__pycache__"))
    for name, changes in _CHANGES.items():
        path = folder / "ringfence" / name
        text = path.read_text()
        for old, new in changes:
            assert text.count(old) == 1, f"{name} has another place for {new!r} by now"
            text = text.replace(old, new)
        path.write_text(text)
    return {"PYTHONPATH": str(folder), "RINGFENCE_ENGINE": "python"}
