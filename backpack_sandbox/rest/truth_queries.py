"""Parameters of the truth endpoints: every mistake is one clear sentence."""

from collections.abc import Collection, Mapping

from aiohttp import web

from backpack_sandbox.errors import SandboxError

ID_DIGITS_MAX = 18


class TruthQuery:
    """The query of one request; refuses parameters that the endpoint does not know.

    Every method raises SandboxError with the parameter, what it was, and what it may be.
    """

    def __init__(self, request: web.Request, *known: str) -> None:
        self._query = request.query
        if unknown := sorted(set(self._query) - set(known)):
            names = ", ".join(known) or "none"
            raise SandboxError(f"unknown parameter {', '.join(unknown)}: may be {names}")

    def whole(self, name: str, default: int | None, *, most: int | None = None) -> int:
        """A whole number from 0 on; required without a `default`."""
        text = self._query.get(name)
        if text is None:
            if default is None:
                raise SandboxError(f"{name} is missing: give a whole number")
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= ID_DIGITS_MAX):
            raise SandboxError(f"{name} was {text!r}: must be a whole number")
        if most is not None and not 1 <= int(text) <= most:
            raise SandboxError(f"{name} was {text}: must be from 1 to {most}")
        return int(text)

    def choice(self, name: str, choices: Collection[str], default: str | None = None) -> str:
        """One of a few words."""
        text = self._query.get(name, default)
        if text is None or text not in choices:
            was = "is missing" if text is None else f"was {text!r}"
            raise SandboxError(f"{name} {was}: must be one of {', '.join(choices)}")
        return text

    def text(self, name: str, default: str = "") -> str:
        """Any text, but there must be some."""
        text = self._query.get(name, default)
        if not text:
            raise SandboxError(f"{name} is missing")
        return text

    def symbol(self, books: Mapping[str, object]) -> str:
        """A market with a book."""
        symbol = self._query.get("symbol")
        if symbol is None:
            raise SandboxError("symbol is missing: give a market of /api/v1/markets")
        if symbol not in books:
            raise SandboxError(f"symbol was {symbol!r}: no book; see /api/v1/markets")
        return symbol

    def symbols(self, catalog: Mapping[str, object]) -> list[str]:
        """Markets, each once; all without the parameter."""
        symbols = list(dict.fromkeys(self._query.getall("symbol", list(catalog))))
        if unknown := sorted(set(symbols) - set(catalog)):
            raise SandboxError(f"unknown symbol {', '.join(unknown)}: see /api/v1/markets")
        return symbols
