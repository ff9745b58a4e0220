"""role: shadow: both feeds read only in one process, and parity between them.

The venue's faults choose their victim by user agent; ccxt asks with the one of its HTTP library.
"""

import asyncio
import json
from decimal import Decimal
from types import SimpleNamespace

import aiohttp
import pytest

from backpack_feed.process.config import HandlerConfig, MetricsConfig, VenueConfig
from backpack_feed.process.handler import HandlerProcess
from backpack_sandbox import Sandbox, SandboxConfig
from tests.support.conditions import eventually

CCXT_AGENT = "Python/*"
NATIVE_AGENT = "backpack-feed/*"
SYMBOLS = ("SOL-USDC", "kPEPE-USDC-PERP")
LATENESS_SECONDS = 1.0


@pytest.fixture
async def shadow(tmp_path, request):
    """A running shadow over a busy venue, both feeds in step: parity, venue, http, evidence.

    A parameter gives further settings of the venue.
    """
    settings = {"trades_per_second": 10} | getattr(request, "param", {})
    file = tmp_path / "parity" / "shadow-00.json"
    async with Sandbox(SandboxConfig(state_dir=tmp_path / "venue", **settings)) as venue:
        process = HandlerProcess(
            HandlerConfig(
                instance_id="shadow-00",
                symbols=SYMBOLS,
                channels=("l2_book", "trades", "ticker", "order_info"),
                credentials_file=venue.api_key_file,
                venue=VenueConfig(
                    rest_url=venue.rest_url, ws_url=venue.ws_url, ca_file=venue.ca_file
                ),
                metrics=MetricsConfig(),
                role="shadow",
                parity_file=file,
            ),
            "ccxt",
        )
        task = asyncio.create_task(process.run())
        parity = process.parity
        pushing = asyncio.create_task(_push(venue))
        await eventually(
            lambda: min(parity.agreed.values()) >= 20, 25, lambda: (task, parity.summary())
        )
        pushing.cancel()
        parity.trades.lateness_seconds = LATENESS_SECONDS
        async with aiohttp.ClientSession(f"http://127.0.0.1:{process.port}") as http:
            yield SimpleNamespace(
                parity=parity,
                venue=venue,
                http=http,
                file=file,
                evidence=lambda: json.loads(file.read_text()),
            )
        process.stop()
        await task


async def _push(venue):
    """Move a market at a standstill as the clock would."""
    while venue.config.paused:
        await asyncio.sleep(0.1)
        venue.advance(0.1)


def found(parity):
    """Every finding with its count, without the zeros."""
    return {finding: count for finding, count in parity.disagreements.items() if count}


async def at_least(parity, finding, count=1, timeout_seconds=30):
    await eventually(
        lambda: parity.disagreements[finding] >= count, timeout_seconds, parity.summary
    )


async def test_both_feeds_agree_on_every_trade_and_book(shadow):
    """Trades match by id, books at equal sequence; both feeds are on one port."""
    async with shadow.http.get("/snapshot") as answer:
        body = await answer.json()
    assert body["variant"] == "shadow"
    assert body["ready"] is True
    assert set(body["feeds"]) == {"ccxt", "native"}
    assert body["parity"]["disagreements"] == {}
    assert body["parity"]["samples"] == []
    assert body["parity"]["compared"]["book"] >= 20
    for feed in body["feeds"].values():
        assert feed["metrics"]["messages"]["ticker"] > 0
    async with shadow.http.get("/metrics") as answer:
        text = await answer.text()
    native = 'blamed="native",instance_id="shadow-00"'
    for line in (
        'handler_latency_seconds_count{channel="order_info",instance_id="shadow-00",variant="ccxt"}',
        'backpack_feed_ready{instance_id="shadow-00",variant="ccxt"} 1.0',
        'backpack_feed_ready{instance_id="shadow-00",variant="native"} 1.0',
        f'backpack_feed_parity_disagreements_total{{{native},kind="missing"}} 0.0',
        f'backpack_feed_parity_disagreements_total{{{native},kind="book"}} 0.0',
        'backpack_feed_parity_lead_seconds{instance_id="shadow-00",quantile="0.5"}',
    ):
        assert line in text


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "shadow", [{"paused": True, "seed": 11, "trades_per_second": 5}], indirect=True
)
async def test_a_clean_market_has_not_one_disagreement(shadow):
    """400 model seconds: every trade of the ledger is matched, and every comparable book."""
    parity, venue = shadow.parity, shadow.venue
    parity.trades.lateness_seconds = 20.0
    await eventually(lambda: parity.pending["trade"] == 0, 10, parity.summary)
    newest = {symbol: _newest_id(venue, symbol) for symbol in SYMBOLS}
    expected = first = parity.agreed["trade"]
    for _ in range(200):
        venue.advance(2.0)
        for symbol in SYMBOLS:
            trades = venue.ledger.trades(_venue_symbol(symbol), newest[symbol] + 1)
            newest[symbol] += len(trades)
            expected += len(trades)
        await eventually(
            lambda: parity.agreed["trade"] >= expected,  # noqa: B023 - read before it changes
            10,
            parity.summary,
        )
    assert parity.agreed["trade"] == expected
    assert expected - first > 2_500
    assert parity.agreed["book"] > 200
    assert found(parity) == {}


async def test_a_native_feed_that_hears_nothing_is_missing_every_trade(shadow):
    """REST lists them, so the silent feed is to blame, and the evidence says so."""
    parity = shadow.parity
    shadow.venue.faults.add("stale", user_agent=NATIVE_AGENT)
    await at_least(parity, ("missing", "native"), 3)
    assert set(found(parity)) == {("missing", "native")}
    sample = parity.summary()["samples"][0]
    assert sample["native"] is None
    # ccxt's floats end in .0 where the venue's amounts are whole
    assert _amounts(sample["ccxt"]) == _amounts(sample["venue"])
    true = shadow.venue.ledger.trades(_venue_symbol(sample["symbol"]), sample["id"])
    assert true[0].event.trade_id == sample["id"]
    await eventually(lambda: shadow.file.exists() and shadow.evidence()["samples"], 15)
    evidence = shadow.evidence()
    assert evidence["instance_id"] == "shadow-00"
    assert evidence["samples"][0] == sample
    assert evidence["disagreements"]["missing/native"] >= 3


async def test_a_ccxt_that_hears_nothing_is_blamed_itself(shadow):
    """The incumbent is no authority."""
    shadow.venue.faults.add("stale", user_agent=CCXT_AGENT)
    await at_least(shadow.parity, ("missing", "ccxt"), 3)
    assert set(found(shadow.parity)) == {("missing", "ccxt")}


async def test_a_ccxt_that_lost_deltas_goes_on_with_a_wrong_book_and_is_blamed(shadow):
    """Replayed over a snapshot, the raw stream shows which of the two books was the venue's."""
    parity = shadow.parity
    shadow.venue.faults.add("gap", user_agent=CCXT_AGENT)
    await at_least(parity, ("book", "ccxt"), 2)
    assert set(found(parity)) == {("book", "ccxt")}
    for sample in parity.summary()["samples"]:
        difference = sample["first_difference"]
        levels = {who: level and [*map(Decimal, level)] for who, level in _levels(difference)}
        assert levels["native"] == levels["venue"] != levels["ccxt"]


async def test_a_native_feed_that_publishes_a_wrong_level_is_blamed(shadow, monkeypatch):
    """Also where nothing else tells of it: ids go on and no counter moves."""
    parity = shadow.parity
    publish = parity.native_book

    def publish_wrongly(symbol, change, now):
        bids = tuple((price, amount + (amount > 0)) for price, amount in change.bids)
        publish(symbol, change._replace(bids=bids, own=None), now)

    monkeypatch.setattr(parity, "native_book", publish_wrongly)
    await at_least(parity, ("book", "native"), 2)
    assert set(found(parity)) == {("book", "native")}


@pytest.mark.parametrize("fault", ["gap", "trade_gap", "duplicate", "reorder", "schema_drift"])
async def test_what_native_mends_by_itself_is_no_disagreement(shadow, fault):
    """Its books are right or absent, its trades are filled in."""
    parity = shadow.parity
    parity.trades.lateness_seconds = 15.0
    active = shadow.venue.faults.add(fault, user_agent=NATIVE_AGENT)
    before = dict(parity.agreed)
    await eventually(lambda: parity.agreed["trade"] >= before["trade"] + 100, 40, parity.summary)
    shadow.venue.faults.remove(active.fault_id)
    await eventually(lambda: parity.agreed["book"] >= before["book"] + 20, 20, parity.summary)
    assert found(parity) == {}


@pytest.mark.parametrize("fault", ["trade_gap", "duplicate", "reorder", "schema_drift"])
async def test_what_goes_wrong_on_the_way_to_ccxt_is_never_blamed_on_native(shadow, fault):
    """Whether ccxt mends it or not: native heard every frame."""
    parity = shadow.parity
    parity.trades.lateness_seconds = 15.0
    shadow.venue.faults.add(fault, user_agent=CCXT_AGENT)
    compared = parity.compared["trade"]
    await eventually(lambda: parity.compared["trade"] >= compared + 100, 40, parity.summary)
    await eventually(lambda: parity.unsettled_count or not parity.book_disputes, 20, parity.summary)
    assert {blamed for _, blamed in found(parity)} <= {"ccxt"}


async def test_a_venue_whose_stream_contradicts_its_rest_is_blamed_itself(shadow):
    """A bid that its frames carry to everybody and its book does not have.

    ccxt, which believes it, goes on with it after that and may be blamed then; native never.
    """
    parity = shadow.parity
    shadow.venue.faults.add("crossed")
    await at_least(parity, ("book", "venue"))
    assert "native" not in {blamed for _, blamed in found(parity)}


async def test_a_venue_that_gives_no_fresh_trades_convicts_nobody(shadow):
    """An old answer is no proof that a trade did not happen."""
    parity = shadow.parity
    parity.settle_seconds = 2.0
    shadow.venue.faults.add("old_trades")
    shadow.venue.faults.add("stale", user_agent=NATIVE_AGENT)
    await at_least(parity, ("missing", "nobody"), 3)
    assert set(found(parity)) == {("missing", "nobody")}
    assert parity.unsettled_count >= 3


async def test_a_venue_that_gives_no_fresh_book_convicts_nobody(shadow):
    """Without a second snapshot the replay is not proven whole."""
    parity = shadow.parity
    parity.settle_seconds = 3.0
    shadow.venue.faults.add("old_depth")
    shadow.venue.faults.add("gap", user_agent=CCXT_AGENT)
    await at_least(parity, ("book", "nobody"))
    assert set(found(parity)) == {("book", "nobody")}


def _newest_id(venue, symbol):
    return venue.ledger.trades(_venue_symbol(symbol))[-1].event.trade_id


def _amounts(trade):
    return trade["side"], Decimal(trade["price"]), Decimal(trade["amount"])


def _levels(difference):
    return [(who, difference[who]) for who in ("native", "ccxt", "venue")]


def _venue_symbol(symbol):
    return "kPEPE_USDC_PERP" if symbol.endswith("PERP") else symbol.replace("-", "_")
