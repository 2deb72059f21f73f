"""An edit of a module's source while it is imported."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

from ringfence.testing.ablations.register import Ablation


def source_of(module: str) -> Path:
    """Return the file of a module of ours, without importing it."""
    package = Path(__file__).resolve().parents[2]
    assert module.startswith("ringfence.")
    return package.joinpath(*module.split(".")[1:]).with_suffix(".py")


def ablated(ablation: Ablation) -> str:
    """Return the source without the safeguard. Raises ValueError if it does not stand there exactly once."""
    source = source_of(ablation.module).read_text()
    if source.count(ablation.text) != 1:
        found = source.count(ablation.text)
        raise ValueError(f"{ablation.name}: its text stands {found} times in {ablation.module}, not once")
    return source.replace(ablation.text, ablation.replacement)


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self._source, self.path, "exec", dont_inherit=True)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, module: str, source: str) -> None:
        self._module, self._source = module, source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        where = str(source_of(fullname))
        return importlib.util.spec_from_file_location(
            fullname, where, loader=_Loader(fullname, where, self._source)
        )


def edit(module: str, source: str) -> None:
    """Have a module imported with another source. Raises RuntimeError if it was imported already."""
    if module in sys.modules:
        raise RuntimeError(f"{module} is imported already; edit it in a fresh process")
    sys.meta_path.insert(0, _Finder(module, source))
