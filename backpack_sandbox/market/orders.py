"""An order as the engine knows it: what was asked for, and how far it came."""

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from backpack_sandbox.market.sides import Side

ANONYMOUS: Final = ""
"""The account of the seeded flow: it has no private streams, no balances and no history."""


class TimeInForce(StrEnum):
    """How long an order may wait, as the venue writes it."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class SelfTradePrevention(StrEnum):
    """Which order goes when an account would trade with itself."""

    REJECT_TAKER = "RejectTaker"
    REJECT_MAKER = "RejectMaker"
    REJECT_BOTH = "RejectBoth"
    ALLOW = "Allow"


class OrderStatus(StrEnum):
    """Where an order stands; the last three are final."""

    NEW = "New"
    PARTIALLY_FILLED = "PartiallyFilled"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    EXPIRED = "Expired"


class ExpiryReason(StrEnum):
    """Why the venue itself ended an order: `R` on the socket, `expiryReason` in the history."""

    FILL_OR_KILL = "FillOrKill"
    IMMEDIATE_OR_CANCEL = "ImmediateOrCancel"
    INSUFFICIENT_LIQUIDITY = "InsufficientLiquidity"
    SELF_TRADE_PREVENTION = "SelfTradePrevention"
    REDUCE_ONLY_NOT_REDUCED = "ReduceOnlyNotReduced"


class OrderRefusedError(Exception):
    """The venue does not take the order: no order id, no event. `code` is an ApiErrorCode."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class OrderRequest(Struct, frozen=True, kw_only=True, gc=False):
    """What an account asks of one market.

    `price` is in ticks, None for a market order; `quantity` in steps. A market order may give
    `quote_quantity` (counts of tick x step) in place of `quantity`, which is then None.
    """

    account: str
    side: Side
    price: int | None
    quantity: int | None
    quote_quantity: int | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.REJECT_TAKER
    client_id: int | None = None


class Order(Struct, gc=False):
    """A request that the engine took. `executed_notional` sums price x quantity in counts."""

    symbol: str
    order_id: int
    request: OrderRequest
    executed: int = 0
    executed_notional: int = 0
    status: OrderStatus = OrderStatus.NEW
    expiry_reason: ExpiryReason | None = None

    @property
    def remaining(self) -> int:
        """Steps not executed yet; 0 for an order by quote quantity."""
        quantity = self.request.quantity
        return 0 if quantity is None else quantity - self.executed

    @property
    def is_open(self) -> bool:
        """It may still trade or be cancelled."""
        return self.status in {OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED}

    def execute(self, price: int, quantity: int) -> None:
        """Book a match of `quantity` steps at `price` ticks.

        An order by quote quantity is filled when what is left buys no step at `price`.
        """
        self.executed += quantity
        self.executed_notional += price * quantity
        quote = self.request.quote_quantity
        whole = not self.remaining if quote is None else quote - self.executed_notional < price
        self.status = OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED

    def copy(self) -> "Order":
        """As it is now, for an event that tells of it."""
        return replace(self)
