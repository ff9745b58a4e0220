"""Same seed, same clock, same orders: the same bytes in the ledger."""

from pathlib import Path

import pytest

from backpack_sandbox import Sandbox
from backpack_sandbox.constants import TRADER
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.orders import OrderRequest, TimeInForce
from tests.support.sandbox_client import running_venue

SYMBOL = "SOL_USDC"
PERP = "SOL_USDC_PERP"


class ScriptedClock:
    """Unix seconds that only the test moves."""

    def __init__(self) -> None:
        self.now = 1_790_900_000.0

    def __call__(self) -> float:
        return self.now


def trade(venue: Sandbox) -> None:
    """An account places what rests, what takes and what expires, and takes one back."""
    for symbol in (SYMBOL, PERP):
        engine = venue.exchange.engines[symbol]
        lot = engine.market.typical_order_steps
        bid, ask = (engine.book.ranked(side, 0) for side in Side)
        resting = venue.desk.place(symbol, order(Side.BID, bid, lot))
        venue.desk.place(symbol, order(Side.BID, ask, lot, time_in_force=TimeInForce.IOC))
        venue.desk.place(symbol, order(Side.ASK, None, lot))
        if any(o.order_id == resting.order_id for o in engine.open_orders(TRADER)):
            venue.desk.cancel(TRADER, symbol, order_id=resting.order_id, client_id=None)
        venue.desk.place(symbol, order(Side.ASK, ask + 5, lot, client_id=7))


def order(side: Side, price: int | None, quantity: int, **terms) -> OrderRequest:
    return OrderRequest(account=TRADER, side=side, price=price, quantity=quantity, **terms)


async def session(state_dir: Path, *, seed: int, profile: str, turns: int, trades: bool) -> bytes:
    clock = ScriptedClock()
    settings = {"seed": seed, "profile": profile, "clock": clock}
    async with running_venue(state_dir, **settings) as venue:
        for turn in range(turns):
            clock.now += 0.25
            venue.advance(0.25)
            if trades and turn % 5 == 2:
                trade(venue)
    return (state_dir / "ledger.jsonl").read_bytes()


@pytest.mark.parametrize("profile", ["small", "venue"])
async def test_the_same_seed_and_clock_give_the_same_bytes(tmp_path, profile):
    """Also when an account trades at the same model times; any difference of input shows."""
    base = {"seed": 7, "profile": profile, "turns": 24, "trades": True}
    first = await session(tmp_path / "first", **base)
    assert first == await session(tmp_path / "second", **base)
    assert len(first) > 100_000
    assert b'"account":"trader"' in first
    assert b'"e":"orderFill"' in first
    assert first != await session(tmp_path / "seed", **(base | {"seed": 8}))
    assert first != await session(tmp_path / "idle", **(base | {"trades": False}))


async def test_the_same_bytes_also_after_a_restart(tmp_path):
    """What a venue takes up from its ledger is a function of the ledger."""
    base = {"seed": 7, "profile": "small", "turns": 12, "trades": True}
    ledgers = []
    for name in ("first", "second"):
        await session(tmp_path / name, **base)
        ledgers.append(await session(tmp_path / name, **base))
    assert ledgers[0] == ledgers[1]
    assert ledgers[0].count(b'{"session"') == 2
