"""`ringfence warm`: compile the engine now, so that no trader waits for it."""

import time


def warm() -> None:
    """Compile the machine code of engine and auditor if this source was not compiled here before."""
    from rich.console import Console

    console = Console(stderr=True)
    started = time.monotonic()
    console.print("loading the engine; compiling it, once per version, takes about 15 s")
    import ringfence.assurance.audit.margins
    import ringfence.exchange.engine  # noqa: F401

    console.print(f"engine and auditor ready in {time.monotonic() - started:.1f} s")
