"""The socket of backpack-exchange-sdk, against the venue's ledger."""

from decimal import Decimal

import pytest

from backpack_sandbox.constants import TRADER
from tests.conformance.sdk_client import Socket, account_client
from tests.conformance.truth import published
from tests.support.conditions import eventually


@pytest.fixture
async def socket(live_venue):
    socket = Socket(live_venue, live_venue.trader_api_key_file)
    await socket.open()
    yield socket
    await socket.close()


@pytest.mark.parametrize("kind", ["depth", "trade", "bookTicker"])
async def test_public_streams_are_the_ledger(socket, live_venue, kind):
    """Every frame from the first on, in order and unchanged."""
    stream = f"{kind}.SOL_USDC"
    got = await socket.subscribe(stream)
    await eventually(lambda: len(got) >= 10)
    frames, truth = got[:10], published(live_venue, stream)
    start = truth.index(frames[0])
    assert frames == truth[start : start + 10]


@pytest.mark.parametrize(
    ("stream", "keys"),
    [
        ("ticker.SOL_USDC", "EVcehlnosv"),
        ("markPrice.SOL_USDC_PERP", "ETefinps"),
        ("kline.1m.SOL_USDC", "ETXcehlnostv"),
        ("depth.200ms.SOL_USDC", "ETUabesu"),
    ],
)
async def test_derived_streams_arrive(socket, stream, keys):
    """With the keys of the protocol."""
    got = await socket.subscribe(stream)
    await eventually(lambda: got)
    assert "".join(sorted(got[0])) == keys


async def test_unsubscribe(socket):
    """The callback is gone, the other stream's goes on."""
    trades = await socket.subscribe("trade.SOL_USDC")
    depth = await socket.subscribe("depth.SOL_USDC")
    await eventually(lambda: trades)
    await socket.unsubscribe("trade.SOL_USDC")
    count = len(trades)
    more = len(depth) + 10
    await eventually(lambda: len(depth) >= more)
    assert len(trades) <= count + 1


async def test_private_streams(socket, live_venue):
    """Signed: the order, its fill, the position and the balances of one market order."""
    orders = await socket.subscribe("account.orderUpdate", private=True)
    positions = await socket.subscribe("account.positionUpdate", private=True)
    balances = await socket.subscribe("account.balanceUpdate", private=True)
    account = account_client(live_venue, live_venue.trader_api_key_file)
    depth = await socket.subscribe("depth.SOL_USDC")
    await eventually(lambda: depth)  # the venue reads one request after the other
    placed = await account.call("execute_order", "Market", "Ask", "SOL_USDC_PERP", quantity="0.01")
    account.close()
    await eventually(
        lambda: positions and balances and orders and orders[-1]["X"] == "Filled",
        describe=lambda: (orders, positions, balances),
    )
    assert orders == published(live_venue, "account.orderUpdate", TRADER)
    assert {frame["i"] for frame in orders} == {placed["id"]}
    assert (orders[-1]["e"], orders[-1]["X"]) == ("orderFill", "Filled")
    assert Decimal(positions[-1]["q"]) == Decimal("-0.01")
    assert positions[-1]["e"] == "positionOpened"
    assert balances[-1]["a"] == "USDC"


async def test_a_wrong_key_is_silence_for_its_callbacks(live_venue, wrong_key):
    """The 4003 frame names no stream, so this client shows it to nobody."""
    socket = Socket(live_venue, wrong_key)
    await socket.open()
    private = await socket.subscribe("account.orderUpdate", private=True)
    public = await socket.subscribe("depth.SOL_USDC")
    await eventually(lambda: len(public) >= 10)
    assert private == []
    await socket.close()
