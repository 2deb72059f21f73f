"""`ringfence warm`: compile the engine now, so that no trader waits for it."""

import time


def warm() -> None:
    """Compile the engine's machine code if this source was not compiled here before."""
    from rich.console import Console

    from ringfence.exchange.engine.views import BUILD, cache_directory

    console = Console(stderr=True)
    started = time.monotonic()
    if cache_directory().exists():
        import ringfence.exchange.engine  # noqa: F401
    else:
        with console.status(f"compiling the engine ({BUILD} build, once per version, about a minute)"):
            import ringfence.exchange.engine  # noqa: F401
    console.print(f"engine ready in {time.monotonic() - started:.1f} s")
