"""The rules, one a file.

P12 is in P11, P16 is for programs that we never call, P18 and P19 are `policy.check_change`.
"""

from importlib import import_module
from pkgutil import iter_modules

from ringfence.custody.policy.rule import Rule

RULES: tuple[Rule, ...] = tuple(
    import_module(f"{__name__}.{name}").RULE for name in sorted(name for _, name, _ in iter_modules(__path__))
)
"""All of them; the strictest holds."""
