"""Two accounts on real sockets: each hears of itself, at once, and never of the other."""

import json
from decimal import Decimal

import pytest

from backpack_sandbox.constants import HOUSE, TRADER
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.orders import OrderRequest, TimeInForce
from tests.support.backpack_fixtures import schema_violations
from tests.support.sandbox_client import WireClient, running_venue, wire_client

KINDS = ("account.orderUpdate", "account.positionUpdate", "account.balanceUpdate")
PERP = "SOL_USDC_PERP"


def buy(quantity: int, price: int | None = None, **changes) -> OrderRequest:
    return OrderRequest(account=TRADER, side=Side.BID, price=price, quantity=quantity, **changes)


async def joined(client: WireClient, *streams: str) -> list[dict]:
    """Subscribe with a signature; the frames of the first sight."""
    await client.subscribe(*streams, signature=client.signature())
    return await client.drain_data()


async def test_each_account_hears_of_its_own_and_of_nothing_else(tmp_path):
    """The bot trades on the one, the client on the other, all in the same markets."""
    async with running_venue(tmp_path, trades_per_second=3.0) as venue:
        async with (
            wire_client(venue, account=HOUSE) as house,
            wire_client(venue, account=TRADER) as trader,
        ):
            for client in (house, trader):
                assert await joined(client, *KINDS) == []
            venue.advance(15)
            assert await trader.drain() == []
            order = venue.desk.place(PERP, buy(100))
            venue.desk.place("SOL_USDC", buy(100, 9700))
            told = await trader.drain_data()
            heard = await house.drain_data()
        orders = [f["data"] for f in told if f["stream"] == "account.orderUpdate"]
        mine = {(o["s"], o["i"]) for o in orders}
        assert (PERP, str(order.order_id)) in mine
        theirs = {(f["data"]["s"], f["data"]["i"]) for f in heard if f["stream"] == KINDS[0]}
        assert theirs
        assert not mine & theirs
        for frame in told + heard:
            assert schema_violations(frame["stream"], frame["data"]) == []
            assert "account" not in frame


async def test_order_balance_and_position_frames_of_one_act_tell_the_same(tmp_path):
    """The order first; balances absolute, as the account has them afterwards; one engine time."""
    async with running_venue(tmp_path) as venue, wire_client(venue, account=TRADER) as trader:
        await joined(trader, *KINDS, f"account.orderUpdate.{PERP}")
        venue.advance(5)
        venue.desk.place(PERP, buy(100))
        frames = await trader.drain_data()
        names = [(f["stream"], f["data"]["e"]) for f in frames]
        assert names[0] == ("account.orderUpdate", "orderFill")
        assert names[1] == (f"account.orderUpdate.{PERP}", "orderFill")
        assert ("account.positionUpdate", "positionOpened") in names
        assert names[-1] == ("account.balanceUpdate", "balanceUpdate")
        assert len({f["data"]["T"] for f in frames}) == 1
        balance = venue.accounts[TRADER].balance("USDC")
        assert Decimal(frames[-1]["data"]["A"]) == balance.available


async def test_a_newcomer_sees_the_open_positions_of_its_account_only(tmp_path):
    """Without `e`, and no balance; the other account's newcomer sees its own."""
    async with running_venue(tmp_path) as venue:
        venue.desk.place(PERP, buy(100))
        async with (
            wire_client(venue, account=TRADER) as trader,
            wire_client(venue, account=HOUSE) as house,
        ):
            (first,) = await joined(trader, *KINDS)
            assert (first["stream"], first["data"]["s"]) == ("account.positionUpdate", PERP)
            assert (first["data"]["q"], "e" in first["data"]) == ("1", False)
            assert await joined(house, *KINDS) == []


@pytest.mark.parametrize("time_in_force", [TimeInForce.IOC, TimeInForce.FOK])
async def test_what_may_not_rest_expires_with_its_reason(tmp_path, time_in_force):
    """On the socket as in the history; no funds stay locked."""
    async with running_venue(tmp_path) as venue, wire_client(venue, account=TRADER) as trader:
        await joined(trader, *KINDS)
        order = venue.desk.place("SOL_USDC", buy(10, 9700, time_in_force=time_in_force))
        (frame,) = await trader.drain_data()
        reason = {"IOC": "ImmediateOrCancel", "FOK": "FillOrKill"}[time_in_force.value]
        assert (frame["data"]["e"], frame["data"]["X"], frame["data"]["R"]) == (
            "orderExpired", "Expired", reason,
        )  # fmt: skip
        assert frame["data"]["t"] is None
        record = venue.accounts.history.record(order)
        assert record.order.expiry_reason.value == reason
        assert venue.accounts[TRADER].balance("USDC").locked == 0


async def test_what_a_client_was_told_is_in_the_ledger_with_its_account(tmp_path):
    """The rest of the line is the frame, byte for byte."""
    async with running_venue(tmp_path) as venue, wire_client(venue, account=TRADER) as trader:
        await joined(trader, "account.orderUpdate")
        venue.desk.place("SOL_USDC", buy(10, 9700, client_id=4294967295))
        (frame,) = await trader.drain()
        lines = (tmp_path / "ledger.jsonl").read_text().splitlines()
        assert '{"account":"trader",' + frame[1:] in lines
        assert json.loads(frame)["data"]["c"] == 4294967295
