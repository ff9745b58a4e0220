"""Two accounts trade with the flow and with each other: nothing appears and nothing is lost."""

import json
import tempfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from backpack_sandbox.account.accounts import ENDOWMENTS, Accounts
from backpack_sandbox.account.snapshot import dump_accounts, load_accounts
from backpack_sandbox.constants import HOUSE, TRADER
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.orders import (
    OrderRefusedError,
    OrderRequest,
    SelfTradePrevention,
    TimeInForce,
)
from backpack_sandbox.truth.recovery import recover
from tests.support.trading_floor import CATALOG, PERP, SPOT, TradingFloor

ORDERS = "account.orderUpdate"
SYMBOLS = (SPOT, PERP, "USDT_USDC")
WHO = st.sampled_from([TRADER, TRADER, HOUSE])
PLACE = st.fixed_dictionaries(
    {
        "account": WHO,
        "side": st.sampled_from(Side),
        "kind": st.sampled_from(["limit", "limit", "market", "quote"]),
        "offset": st.integers(-25, 25),
        "amount": st.one_of(st.integers(1, 4_000), st.integers(50_000, 400_000)),
        "time_in_force": st.sampled_from(TimeInForce),
        "post_only": st.booleans(),
        "reduce_only": st.sampled_from([False, False, True]),
        "stp": st.sampled_from(SelfTradePrevention),
    }
)
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
"""Without shrinking: a floor per try makes it slow, and the steps tell enough as they are."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("place"), st.sampled_from(SYMBOLS), PLACE),
        st.tuples(st.just("cancel"), st.sampled_from(SYMBOLS), WHO),
        st.tuples(st.just("cancel_all"), st.sampled_from(SYMBOLS), WHO),
        st.tuples(st.just("advance"), st.floats(0.1, 1.5), st.none()),
    ),
    min_size=1,
    max_size=25,
)


def request_of(floor: TradingFloor, symbol: str, order: dict) -> OrderRequest:
    price = floor.mid(symbol) + order["offset"]
    is_limit, by_quote = order["kind"] == "limit", order["kind"] == "quote"
    return OrderRequest(
        account=order["account"],
        side=order["side"],
        price=price if is_limit else None,
        quantity=None if by_quote else order["amount"],
        quote_quantity=order["amount"] * price if by_quote else None,
        time_in_force=order["time_in_force"],
        post_only=order["post_only"] and is_limit,
        reduce_only=order["reduce_only"] and symbol == PERP,
        self_trade_prevention=order["stp"],
    )


def act(floor: TradingFloor, step: tuple) -> None:
    kind, where, what = step
    if kind == "advance":
        floor.advance(where)
    elif kind == "place":
        floor.desk.place(where, request_of(floor, where, what))
    elif kind == "cancel_all":
        floor.desk.cancel_all(what, where)
    else:
        order_id = next((o.order_id for o in floor.desk.open_orders(what, symbol=where)), 0)
        floor.desk.cancel(what, where, order_id=order_id, client_id=None)


def played(floor: TradingFloor, steps: list) -> None:
    """Refused orders leave everything as it was."""
    for step in steps:
        before = standing(floor.accounts), floor.ledger.size_bytes
        try:
            act(floor, step)
        except OrderRefusedError:
            assert (standing(floor.accounts), floor.ledger.size_bytes) == before
        for balance in floor.accounts[TRADER].balances():
            assert balance.available >= 0
            assert balance.locked >= 0


def standing(accounts: Accounts) -> dict:
    return {
        name: (
            list(portfolio.balances()),
            list(portfolio.positions()),
            accounts.history.orders(name),
            accounts.history.fills(name),
            accounts.history.fundings(name),
        )
        for name, portfolio in accounts.items()
    }


def private_lines(path: Path) -> dict[str, list[dict]]:
    """The order frames of the ledger, by account."""
    lines = map(json.loads, path.read_text().splitlines())
    found = defaultdict(list)
    for line in lines:
        if line.get("stream") == ORDERS:
            found[line["account"]].append(line["data"])
    return found


def endowed(name: str, asset: str) -> Decimal:
    return next(b.available for b in Accounts(CATALOG)[name].balances() if b.asset == asset)


def check_account(floor: TradingFloor, name: str, frames: list[dict]) -> None:
    """Balances, locks and positions equal what the frames alone add up to."""
    total = {balance.asset: Decimal(0) for balance in floor.accounts[name].balances()}
    net: dict[str, Decimal] = defaultdict(Decimal)
    for data in frames:
        if data["t"] is None:
            continue
        market = CATALOG[data["s"]]
        sign = 1 if data["S"] == "Bid" else -1
        quantity, price = sign * Decimal(data["l"]), Decimal(data["L"])
        total[market.quote] -= quantity * price
        total[data["N"]] -= Decimal(data["n"])
        if market.market_type == "SPOT":
            total[market.base] += quantity
        else:
            net[market.symbol] += quantity
    portfolio = floor.accounts[name]
    held = {p.symbol: p.quantity for p in portfolio.positions()}
    assert held == {symbol: quantity for symbol, quantity in net.items() if quantity}
    total["USDC"] += sum((p.quantity * p.entry_price for p in portfolio.positions()), Decimal(0))
    for balance in portfolio.balances():
        expected = endowed(name, balance.asset) + total[balance.asset]
        assert abs(balance.available + balance.locked - expected) <= len(frames) * Decimal("1e-8")


def check_locks(floor: TradingFloor, name: str) -> None:
    locked: dict[str, Decimal] = defaultdict(Decimal)
    for order in floor.desk.open_orders(name, market_type="SPOT"):
        market = CATALOG[order.symbol]
        rest = market.quantity_grid.value(order.remaining)
        if order.request.side is Side.ASK:
            locked[market.base] += rest
        else:
            locked[market.quote] += rest * market.price_grid.value(order.request.price)
    assert {b.asset: b.locked for b in floor.accounts[name].balances() if b.locked} == locked


def check_history(floor: TradingFloor, name: str, frames: list[dict]) -> None:
    """The last frame of each order is its record; each fill frame is a fill, newest first."""
    history = floor.accounts.history
    last = {(d["s"], int(d["i"])): (d["X"], Decimal(d["z"]), d.get("R")) for d in frames}
    records = {}
    for record in history.orders(name):
        order, grid = record.order, CATALOG[record.order.symbol].quantity_grid
        reason = None if order.expiry_reason is None else order.expiry_reason.value
        records[order.symbol, order.order_id] = (
            order.status.value, grid.value(order.executed), reason,
        )  # fmt: skip
    assert records == last
    fills = [(f.order.symbol, f.fill.trade_id, f.fee, f.fee_asset) for f in history.fills(name)]
    told = [(d["s"], d["t"], Decimal(d["n"]), d["N"]) for d in frames if d["t"] is not None]
    assert fills == told[::-1]
    still_open = {(o.symbol, o.order_id) for o in floor.desk.open_orders(name)}
    assert still_open == {key for key, (state, *_) in last.items() if state in {
        "New", "PartiallyFilled",
    }}  # fmt: skip


def check_no_stranger(floor: TradingFloor, frames: dict[str, list[dict]]) -> None:
    """Each account hears of its own orders, all of them, in order, and of no other's."""
    for name in (HOUSE, TRADER):
        assert floor.frames(name, ORDERS) == frames[name]
    ids = [{(d["s"], d["i"]) for d in frames[name]} for name in (HOUSE, TRADER)]
    assert not ids[0] & ids[1]


def check_reduce_only(floor: TradingFloor) -> None:
    """No resting reduce-only order could turn its position round."""
    for name in (HOUSE, TRADER):
        position = floor.accounts[name].position(PERP)
        net = position.quantity if position else Decimal(0)
        for order in floor.desk.open_orders(name, symbol=PERP):
            if order.request.reduce_only:
                rest = CATALOG[PERP].quantity_grid.value(order.remaining)
                assert rest <= (-net if order.request.side is Side.BID else net)


@settings(max_examples=40, deadline=None, phases=PHASES)
@given(seed=st.integers(0, 2**32), steps=STEPS)
def test_accounts_books_history_and_frames_agree_whatever_was_traded(seed, steps):
    """Also after reading the ledger back, and after the way through a checkpoint."""
    with tempfile.TemporaryDirectory() as folder, TradingFloor(Path(folder), seed) as floor:
        played(floor, steps)
        frames = private_lines(floor.path)
        for name in (HOUSE, TRADER):
            check_account(floor, name, frames[name])
            check_locks(floor, name)
            check_history(floor, name, frames[name])
        check_no_stranger(floor, frames)
        check_reduce_only(floor)
        recovered = recover(floor.path, CATALOG)
        assert standing(recovered.accounts) == standing(floor.accounts)
        for symbol, engine in floor.engines.items():
            state, live = recovered.states[symbol], engine.state()
            assert (state.orders, state.bids, state.asks) == (live.orders, live.bids, live.asks)
        accounts, history = load_accounts(
            CATALOG, dump_accounts(floor.accounts, floor.accounts.history)
        )
        assert standing(accounts) == standing(floor.accounts)
        assert history is accounts.history


@settings(max_examples=25, deadline=None, phases=PHASES)
@given(seed=st.integers(0, 2**32), steps=STEPS, more=STEPS, cut=st.floats(0, 1))
def test_a_venue_that_was_killed_in_the_middle_of_a_write_goes_on(seed, steps, more, cut):
    """Cut the ledger anywhere behind its first line: it starts, and the accounts add up."""
    with tempfile.TemporaryDirectory() as folder:
        with TradingFloor(Path(folder), seed) as floor:
            played(floor, steps)
        content = floor.path.read_bytes()
        first = content.index(b"\n") + 1
        floor.path.write_bytes(content[: first + int(cut * (len(content) - first))])
        used = {(d["s"], d["t"]) for d in fills_of(floor.path)}
        with TradingFloor(Path(folder), seed + 1) as again:
            played(again, more)
            for name in (HOUSE, TRADER):
                check_locks(again, name)
                known = {
                    r.order.order_id for r in again.accounts.history.orders(name) if r.order.is_open
                }
                assert known == {order.order_id for order in again.desk.open_orders(name)}
            later = [key for d in fills_of(again.path) if (key := (d["s"], d["t"])) not in used]
            assert all(number > max((t for s, t in used if s == symbol), default=0)
                       for symbol, number in later)  # fmt: skip
        recovered = recover(again.path, CATALOG)
        assert standing(recovered.accounts) == standing(again.accounts)


def fills_of(path: Path) -> list[dict]:
    """Trade frames of the whole lines of a ledger."""
    whole = path.read_bytes().rpartition(b"\n")[0].splitlines()
    lines = [json.loads(line) for line in whole]
    return [line["data"] for line in lines if line.get("stream", "").startswith("trade.")]


def test_the_trader_starts_with_what_was_promised():
    """1,000,000 USDC, and some of every spot base that can be traded."""
    balances = {b.asset: b.available for b in Accounts(CATALOG)[TRADER].balances()}
    assert balances["USDC"] == ENDOWMENTS[TRADER].quote == 1_000_000
    assert {"SOL", "BTC", "ETH", "USDT", "BONK"} <= balances.keys()
    assert min(balances.values()) > 0
