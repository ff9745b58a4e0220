"""Exact decimals on a grid: integers inside, padded text on the socket, normalised on REST."""

from decimal import Decimal


class Grid:
    """A price tick or a quantity step; values are integer counts of it.

    The socket pads to the grid (`"98.40"`, zero is `"0.00"`); REST strips (`"98.4"`, `"0"`).
    """

    __slots__ = ("_base", "_multiplier", "decimals", "text", "unit")

    def __init__(self, unit: str) -> None:
        """`unit`: the tick or step as the venue writes it, a positive plain decimal."""
        self.text = unit
        self.unit = Decimal(unit)
        exponent = self.unit.as_tuple().exponent
        self.decimals = -exponent if isinstance(exponent, int) and exponent < 0 else 0
        self._base = 10**self.decimals
        self._multiplier = int(self.unit * self._base)

    def padded(self, count: int) -> str:
        """Text of `count` units with every decimal of the grid: the websocket's form."""
        return pad(count * self._multiplier, self.decimals)

    def normal(self, count: int) -> str:
        """Text of `count` units without trailing zeros: the REST form."""
        return strip_zeros(self.padded(count))

    def value(self, count: int) -> Decimal:
        """Exact value of `count` units."""
        return self.unit * count

    def count(self, value: Decimal | str) -> int:
        """Whole units in `value`, rounded down."""
        return int(Decimal(value) / self.unit)

    def scaled(self, count: int) -> int:
        """`count` units as an integer of the last decimal, for exact products."""
        return count * self._multiplier


def pad(scaled: int, decimals: int) -> str:
    """`scaled` / 10**`decimals` with exactly `decimals` decimals; `scaled` must not be negative."""
    if not decimals:
        return str(scaled)
    digits = str(scaled).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


def strip_zeros(text: str) -> str:
    """Drop trailing zeros after the point, and the point when nothing follows it."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def notional_scaled(price: Grid, price_count: int, quantity: Grid, quantity_count: int) -> int:
    """Price times quantity as an integer with both grids' decimals."""
    return price.scaled(price_count) * quantity.scaled(quantity_count)


def plain(value: Decimal) -> str:
    """Exact text without an exponent and without trailing zeros."""
    return strip_zeros(f"{value:f}") if value else "0"
