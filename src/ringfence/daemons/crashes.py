"""What a process leaves behind when it crashes: its log, and no image of its memory."""

import resource


def forbid_core_dumps() -> None:
    """Let the system write no core file of this process and its children: keys and secrets lie in their memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
