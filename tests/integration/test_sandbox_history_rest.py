"""The signed histories: their pages, filters and shapes, and that they agree with the streams."""

import json
from decimal import Decimal

import pytest
import pytest_asyncio

from backpack_sandbox.market.book import Side
from tests.support.backpack_fixtures import load_fixture
from tests.support.sandbox_client import running_venue, signed_client, wire_client

RECORDED = {x["name"]: x for x in load_fixture("rest")["exchanges"]}
SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"
ORDERS, FILLS = "/wapi/v1/history/orders", "/wapi/v1/history/fills"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def venue(tmp_path_factory):
    directory = tmp_path_factory.mktemp("venue")
    async with running_venue(
        directory, taker_delay_seconds=0.0, history_requests_per_minute=1000
    ) as venue:
        venue.advance(5)
        yield venue


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trader(venue):
    """An account that bought four times: two spot orders with client ids, two perpetual ones."""
    async with signed_client(venue) as client:
        for index, symbol in enumerate([SPOT, PERP, SPOT, PERP]):
            order = {"symbol": symbol, "side": "Bid", "orderType": "Market", "clientId": index}
            assert (await client.place(**order, quantity="0.5")).json["status"] == "Filled"
        ioc = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "timeInForce": "IOC"}
        engine = venue.exchange.engines[SPOT]
        low = engine.market.price_grid.normal(engine.book.best_price(Side.BID) - 10)
        await client.place(**ioc, price=low, quantity="1")
        yield client


async def test_orders_have_every_field_with_naive_times(trader):
    """The newest is the IOC that expired, and says why."""
    rows = (await trader.get(ORDERS, "orderHistoryQueryAll")).json
    assert [row["symbol"] for row in rows] == [SPOT, PERP, SPOT, PERP, SPOT]
    newest = rows[0]
    live = RECORDED["order_created"]["json"].keys()
    documented = {
        "expiryReason",
        "quoteQuantity",
        "slippageTolerance",
        "slippageToleranceType",
        "systemOrderType",
    }
    assert newest.keys() == (live - {"reduceOnly", "relatedOrderId", "triggeredAt"}) | documented
    assert (newest["status"], newest["expiryReason"]) == ("Expired", "ImmediateOrCancel")
    assert rows[1]["status"] == "Filled"
    assert newest["createdAt"][:2] == "20"
    assert not newest["createdAt"].endswith("Z")


async def test_pages_say_where_they_are(trader):
    """Every row once, whatever the size of the page."""
    seen = []
    for offset in (0, 2, 4):
        page = await trader.get(ORDERS, "orderHistoryQueryAll", limit=2, offset=offset)
        seen += [row["id"] for row in page.json]
        headers = {name: page.headers[name] for name in page.headers if name.startswith("X-")}
        assert (
            headers.items()
            >= {
                "X-PAGE-COUNT": "3",
                "X-CURRENT-PAGE": str(offset // 2),
                "X-PAGE-SIZE": "2",
                "X-TOTAL": "5",
            }.items()
        )
    whole = (await trader.get(ORDERS, "orderHistoryQueryAll")).json
    assert seen == [row["id"] for row in whole]
    oldest_first = (await trader.get(ORDERS, "orderHistoryQueryAll", sortDirection="Asc")).json
    assert oldest_first == whole[::-1]


@pytest.mark.parametrize(
    ("query", "symbols"),
    [
        ({"symbol": SPOT}, {SPOT}),
        ({"marketType": "PERP"}, {PERP}),
        ({"marketType": "DATED"}, set()),
        ({"fillType": "User"}, {SPOT, PERP}),
        ({"fillType": "Adl"}, set()),
        ({"strategyId": "1"}, set()),
        ({"orderId": "nobody"}, set()),
        ({"orderId": "1"}, set()),
        ({"to": "1"}, set()),
        ({"from_": "1"}, {SPOT, PERP}),
    ],
)
async def test_filters_of_fills(trader, query, symbols):
    """Each on its own."""
    rows = (await trader.get(FILLS, "fillHistoryQueryAll", **query)).json
    assert {row["symbol"] for row in rows} == symbols


async def test_fills_carry_the_client_id_and_the_fee_in_the_recorded_shape(trader):
    """A spot buyer pays in the base asset, a perpetual's in USDC."""
    rows = (await trader.get(FILLS, "fillHistoryQueryAll")).json
    recorded = RECORDED["fills"]["json"][0]
    assert rows[0].keys() == recorded.keys()
    assert {row["clientId"] for row in rows} == {"0", "1", "2", "3"}
    assert {(row["symbol"], row["feeSymbol"]) for row in rows} == {(SPOT, "SOL"), (PERP, "USDC")}
    assert not any(row["isMaker"] for row in rows)


async def test_the_position_history_shows_what_is_open(trader):
    """As the position endpoint has it, fees apart."""
    row = (await trader.get("/wapi/v1/history/position", "positionHistoryQueryAll")).json[0]
    now = (await trader.get("/api/v1/position", "positionQuery", symbol=PERP)).json[0]
    assert (row["state"], row["id"]) == ("Open", now["positionId"])
    for name in ("netQuantity", "entryPrice", "netCost", "netExposureNotional"):
        assert row[name] == now[name]
    profit = Decimal(row["cumulativePnlRealized"]) - Decimal(row["fees"])
    assert profit == Decimal(now["pnlRealized"])
    closed = await trader.get(
        "/wapi/v1/history/position", "positionHistoryQueryAll", state="Closed"
    )
    assert closed.json == []


async def test_collateral_and_account_agree_with_capital_and_positions(trader):
    """Equity is USDC with the open profit; the fees are those that were paid."""
    summary = (await trader.get("/api/v1/capital/collateral", "collateralQuery")).json
    usdc = (await trader.get("/api/v1/capital", "balanceQuery")).json["USDC"]
    held = (await trader.get("/api/v1/position", "positionQuery")).json[0]
    total = Decimal(usdc["available"]) + Decimal(usdc["locked"])
    assert Decimal(summary["assetsValue"]) == total
    assert Decimal(summary["netEquity"]) == total + Decimal(held["pnlUnrealized"])
    assert Decimal(summary["netExposureFutures"]) == Decimal(held["netExposureNotional"])
    account = (await trader.get("/api/v1/account", "accountQuery")).json
    fills = (await trader.get(FILLS, "fillHistoryQueryAll", symbol=PERP)).json
    rate = Decimal(account["futuresTakerFee"]) / 10_000
    for fill in fills:
        cost = Decimal(fill["price"]) * Decimal(fill["quantity"])
        assert abs(Decimal(fill["fee"]) - cost * rate) < Decimal("0.000001")


async def test_a_resting_order_is_in_the_book_and_is_eaten_by_the_market(tmp_path):
    """From depth to fills as a maker; the position's stream and endpoint say the same."""
    async with (
        running_venue(tmp_path, trades_per_second=20.0, taker_delay_seconds=0.0) as venue,
        signed_client(venue) as trader,
        wire_client(venue, account="trader") as wire,
    ):
        venue.advance(5)
        engine = venue.exchange.engines[PERP]
        top = engine.book.best_price(Side.ASK) - 1
        price = engine.market.price_grid.normal(top)
        await wire.subscribe(
            "account.positionUpdate", "account.orderUpdate", signature=wire.signature()
        )
        placed = await trader.place(
            symbol=PERP,
            side="Bid",
            orderType="Limit",
            price=price,
            quantity="0.03",
            postOnly=True,
        )
        async with trader.http.get("/api/v1/depth", params={"symbol": PERP}) as answer:
            level = (await answer.json())["bids"][-1]
        assert level[0] == price
        assert Decimal(level[1]) >= Decimal("0.03")
        order_id = int(placed.json["id"])
        for _ in range(600):
            if engine.resting(order_id) is None:
                break
            venue.advance(0.5)
        fills = (await trader.get(FILLS, "fillHistoryQueryAll", orderId=order_id)).json
        assert sum(Decimal(fill["quantity"]) for fill in fills) == Decimal("0.03")
        assert {(fill["isMaker"], fill["price"]) for fill in fills} == {(True, price)}
        frames = [json.loads(frame) for frame in await wire.drain()]
        position = [f["data"] for f in frames if f["stream"] == "account.positionUpdate"][-1]
        held = (await trader.get("/api/v1/position", "positionQuery")).json[0]
        assert (position["q"], position["B"]) == (held["netQuantity"], held["entryPrice"])
        assert str(position["i"]) == held["positionId"]


async def test_a_restarted_venue_answers_the_same(tmp_path):
    """Orders, fills, balances and keys outlive the process."""
    answers = []
    for _ in range(2):
        async with (
            running_venue(tmp_path, taker_delay_seconds=0.0) as venue,
            signed_client(venue) as trader,
        ):
            if not answers:
                venue.advance(5)
                await trader.place(
                    symbol=SPOT, side="Ask", orderType="Market", quantity="3", clientId=1
                )
            answers.append(
                [
                    (await trader.get(ORDERS, "orderHistoryQueryAll")).json,
                    (await trader.get(FILLS, "fillHistoryQueryAll")).json,
                    (await trader.get("/api/v1/capital", "balanceQuery")).json,
                ]
            )
    assert answers[0] == answers[1]
    assert answers[0][1]
