"""ccxt without its hundred other exchanges: a FeedHandler process that starts in half the time.

`import ccxt.pro` reads the code of every exchange, three times over. A rollback restarts a whole
fleet at once, so its length is that import's. ccxt itself is unmodified: its packages run as they
are, and find an empty class in the place of each exchange that is not ours.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import override

OURS = "backpack"
_PACKAGES = frozenset({"ccxt", "ccxt.abstract", "ccxt.async_support", "ccxt.pro"})


@contextmanager
def left_out() -> Iterator[None]:
    """Import nothing of other exchanges in the block; a ccxt that is imported already stays whole.

    For a process that is ours alone: nobody in it can use another exchange afterwards.
    """
    finder = _EmptyExchanges(_exchange_ids())
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _exchange_ids() -> frozenset[str]:
    """Return what ccxt calls its exchanges: there is an abstract module of each."""
    spec = PathFinder.find_spec("ccxt")
    folders = spec.submodule_search_locations if spec is not None else None
    files = [path for folder in folders or () for path in (Path(folder) / "abstract").glob("*.py")]
    return frozenset(path.stem for path in files) - {OURS, "__init__"}


class _EmptyExchanges(MetaPathFinder, Loader):
    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        if package in _PACKAGES and name in self._names:
            return spec_from_loader(fullname, self)
        return None

    @override
    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.rpartition(".")[2]
        setattr(module, name, type(name, (), {}))
