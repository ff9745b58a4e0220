"""What a payload of the right shape must still fulfil before it counts. Pure.

Each check raises `DecodeError` of the kind `value`, which drops the frame whole; `stream` is the
name on the wire, None for a REST answer.
"""

from datetime import datetime, timedelta
from typing import Final

from backpack_feed.errors import DecodeError
from backpack_feed.wire.account_answers import RestFill, RestPosition
from backpack_feed.wire.account_messages import (
    AssetCapital,
    BalanceMessage,
    OrderMessage,
    PositionMessage,
)
from backpack_feed.wire.bounds import are_levels, is_amount, is_price, is_quantity
from backpack_feed.wire.messages import (
    BookTickerMessage,
    DepthMessage,
    DepthSnapshot,
    KlineMessage,
    LiquidationMessage,
    MarkPriceMessage,
    OpenInterestMessage,
    RestKline,
    TickerMessage,
    TradeMessage,
)

LONGEST_INTERVAL: Final = timedelta(days=31)


def check_depth(depth: DepthMessage, stream: str | None) -> None:
    """Ids ascend, every price is positive and no quantity negative."""
    if depth.first_id > depth.last_id:
        raise _refusal(f"U {depth.first_id} is above u {depth.last_id}", stream)
    # nearly every frame has one side
    bids, asks = depth.bids, depth.asks
    if (bids and not are_levels(bids)) or (asks and not are_levels(asks)):
        raise _refusal("a level has no usable price or quantity", stream)


def check_snapshot(snapshot: DepthSnapshot) -> None:
    """Every price is positive and no quantity negative."""
    if not (are_levels(snapshot.bids) and are_levels(snapshot.asks)):
        raise _refusal("a level has no usable price or quantity", None)


def check_trade(trade: TradeMessage, stream: str | None) -> None:
    """The price is positive and the quantity not negative."""
    if not are_levels(((trade.price, trade.quantity),)):
        raise _refusal(f"trade {trade.trade_id} has no usable price or quantity", stream)


def check_book_ticker(quote: BookTickerMessage, stream: str | None) -> None:
    """Each side has price and size, or neither."""
    for price, size in ((quote.bid, quote.bid_size), (quote.ask, quote.ask_size)):
        if price is None and size is None:
            continue
        if price is None or size is None or not (is_price(price) and is_quantity(size)):
            raise _refusal("a side has no usable price or size", stream)


def check_ticker(ticker: TickerMessage, stream: str | None) -> None:
    """Prices and volumes are not negative; an untraded market may show zeros."""
    numbers = (
        ticker.first_price, ticker.last_price, ticker.high, ticker.low, ticker.volume,
        ticker.quote_volume,
    )  # fmt: skip
    if not all(map(is_quantity, numbers)):
        raise _refusal("a price or a volume is not usable", stream)


def check_kline(kline: KlineMessage, stream: str | None) -> None:
    """The interval has a length, prices are positive or null, and the volume not negative."""
    _check_candle(kline, kline.stop, stream)


def check_rest_kline(row: RestKline) -> None:
    """As `check_kline`."""
    _check_candle(row, row.end, None)


def _check_candle(candle: KlineMessage | RestKline, stop: datetime, stream: str | None) -> None:
    # naive and aware times cannot be compared, and one frame does not mix them
    if (candle.start.tzinfo is None) != (stop.tzinfo is None) or candle.start >= stop:
        raise _refusal("the interval has no length", stream)
    if stop - candle.start > LONGEST_INTERVAL:
        raise _refusal("the interval is longer than a month", stream)
    prices = (candle.open, candle.high, candle.low, candle.close)
    if not all(price is None or is_price(price) for price in prices):
        raise _refusal("a price is not usable", stream)
    if not is_quantity(candle.volume):
        raise _refusal("the volume is not usable", stream)


def check_mark_price(mark: MarkPriceMessage, stream: str | None) -> None:
    """Mark and index price are positive, the rate may be negative."""
    if not is_price(mark.mark_price) or not is_amount(mark.funding_rate):
        raise _refusal("the mark price or the rate is not usable", stream)
    if mark.index_price is not None and not is_price(mark.index_price):
        raise _refusal("the index price is not usable", stream)


def check_open_interest(interest: OpenInterestMessage, stream: str | None) -> None:
    """The open interest is not negative."""
    if not is_quantity(interest.open_interest):
        raise _refusal("the open interest is not usable", stream)


def check_liquidation(liquidation: LiquidationMessage, stream: str | None) -> None:
    """The price is positive and the quantity not negative."""
    if not (is_price(liquidation.price) and is_quantity(liquidation.quantity)):
        raise _refusal("the liquidation has no usable price or quantity", stream)


def check_order(order: OrderMessage, stream: str | None) -> None:
    """Prices and quantities are not negative; the fee may be, as a rebate."""
    numbers = (
        order.price, order.quantity, order.executed_quantity, order.fill_price,
        order.fill_quantity,
    )  # fmt: skip
    if not all(number is None or is_quantity(number) for number in numbers):
        raise _refusal(f"order {order.order_id} has no usable price or quantity", stream)
    if not is_amount(order.fee):
        raise _refusal(f"order {order.order_id} has no usable fee", stream)


def check_position(position: PositionMessage, stream: str | None) -> None:
    """Every amount is finite."""
    numbers = (
        position.quantity, position.entry_price, position.break_even_price, position.mark_price,
        position.realised_pnl, position.unrealised_pnl, position.exposure_quantity,
        position.exposure_notional, position.initial_margin_fraction,
        position.maintenance_margin_fraction,
    )  # fmt: skip
    if not all(map(is_amount, numbers)):
        raise _refusal(f"position {position.position_id} has an unusable amount", stream)


def check_balance(balance: BalanceMessage, stream: str | None) -> None:
    """Every amount is finite; with borrowing the available one may be negative."""
    if not all(map(is_amount, (balance.available, balance.locked, balance.staked))):
        raise _refusal(f"the balance of {balance.asset} is not usable", stream)


def check_capital(capital: AssetCapital) -> None:
    """Every amount is finite."""
    if not all(map(is_amount, (capital.available, capital.locked, capital.staked))):
        raise _refusal("a balance is not usable", None)


def check_rest_position(row: RestPosition) -> None:
    """Every amount is finite."""
    numbers = (
        row.quantity, row.entry_price, row.break_even_price, row.mark_price, row.realised_pnl,
        row.unrealised_pnl, row.exposure_quantity, row.exposure_notional,
        row.initial_margin_fraction, row.maintenance_margin_fraction,
    )  # fmt: skip
    if not all(map(is_amount, numbers)):
        raise _refusal(f"position {row.position_id} has an unusable amount", None)


def check_rest_fill(row: RestFill) -> None:
    """Price and quantity are not negative; the fee may be, as a rebate."""
    if not (is_quantity(row.price) and is_quantity(row.quantity) and is_amount(row.fee)):
        raise _refusal(f"fill {row.fill_id} has an unusable amount", None)


def _refusal(detail: str, stream: str | None) -> DecodeError:
    return DecodeError("value", detail, stream)
