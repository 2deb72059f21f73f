"""The laws, one a file, each with the faults that it must catch. To add one: write the file, and that is all."""

from importlib import import_module
from pkgutil import iter_modules

from ringfence.assurance.audit.law import Law


def _laws() -> tuple[type[Law], ...]:
    found: list[type[Law]] = []
    for module in sorted(name for _, name, _ in iter_modules(__path__)):
        defined = vars(import_module(f"{__name__}.{module}")).values()
        laws = [law for law in defined if isinstance(law, type) and issubclass(law, Law) and law is not Law]
        assert len(laws) == 1, f"{module} has {len(laws)} laws; it is one a file"
        found += laws
    return tuple(found)


LAWS = _laws()
"""By id."""
