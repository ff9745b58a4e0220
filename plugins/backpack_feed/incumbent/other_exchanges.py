"""ccxt without what a FeedHandler never uses of it: a process that starts in half the time.

`import ccxt.pro` reads the code of every exchange, three times over. A rollback restarts a whole
fleet at once, so its length is that import's. ccxt itself is unmodified: its packages run as they
are, and find an empty class in the place of each exchange that is not ours, and a few names in the
place of `requests`, with which only its synchronous half talks.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
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
    """Import ccxt in the block without the rest; a ccxt that is imported already stays whole.

    For a process that is ours alone: nobody in it can use another exchange of ccxt, or any of its
    exchanges synchronously, afterwards. `requests` is there as ever after the block.
    """
    finders: list[MetaPathFinder] = [_EmptyExchanges(_exchange_ids())]
    if "requests" not in sys.modules and "ccxt" not in sys.modules:
        finders.append(_NoRequests())
    sys.meta_path[:0] = finders
    try:
        yield
    finally:
        for finder in finders:
            sys.meta_path.remove(finder)
        for name in _NoRequests.NAMES:
            if isinstance(getattr(sys.modules.get(name), "__loader__", None), _NoRequests):
                del sys.modules[name]


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


class _NoRequests(MetaPathFinder, Loader):
    """What `ccxt.base.exchange` takes from requests; it sends its user agent from everywhere."""

    NAMES = ("requests", "requests.utils", "requests.exceptions")
    _ERRORS = ("HTTPError", "Timeout", "TooManyRedirects", "RequestException", "ConnectionError")

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in self.NAMES:
            return spec_from_loader(fullname, self, is_package=fullname == "requests")
        return None

    @override
    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == "requests":
            module.Session = type("Session", (), {})  # type: ignore[attr-defined]
        elif module.__name__ == "requests.utils":
            module.default_user_agent = _user_agent  # type: ignore[attr-defined]
        else:
            for name in self._ERRORS:
                setattr(module, name, type(name, (OSError,), {}))


def _user_agent() -> str:
    return f"python-requests/{metadata.version('requests')}"
