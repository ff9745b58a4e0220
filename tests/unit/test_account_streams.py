"""Orders end once, fills come exactly once, balances never go back in time."""

import json
from typing import Any

import pytest

from backpack_feed.constants import BALANCES, FILLS, ORDER_INFO, POSITIONS
from backpack_feed.native import account_streams
from backpack_feed.native.account_streams import AccountStreams
from backpack_feed.wire.decode import decode, decode_capital
from tests.support.backpack_fixtures import load_fixture

FRAMES = {frame["name"]: frame["frame"] for frame in load_fixture("ws_private_frames")["frames"]}
REST = {exchange["name"]: exchange for exchange in load_fixture("rest")["exchanges"]}
CAPITAL = decode_capital(json.dumps(REST["capital"]["json"]).encode())
USDT = {"USDT-USDC": "USDT_USDC"}
PERP = {"SOL-USDC-PERP": "SOL_USDC_PERP"}
EVERYTHING = {ORDER_INFO: USDT, FILLS: USDT, BALANCES: USDT, POSITIONS: PERP}
RECEIPT = 1790900001.5


class Harness:
    """The account's streams, fed with recorded frames."""

    def __init__(self, wanted: dict[str, dict[str, str]] | None = None) -> None:
        self.signs = 0
        self.counted: list[tuple[str, str]] = []
        self.streams = AccountStreams(
            EVERYTHING if wanted is None else wanted,
            delivered=self.delivered,
            count_frame=lambda channel, symbol, _: self.counted.append((channel, symbol)),
        )
        self.readers = self.streams.readers()

    def delivered(self) -> None:
        self.signs += 1

    def feed(self, name: str, **changes: Any) -> list[tuple[str, Any]]:
        frame = FRAMES[name]
        envelope = decode(json.dumps(frame | {"data": frame["data"] | changes}))
        read = self.readers[type(envelope.data)]
        published = read(envelope.stream, envelope.data, RECEIPT)
        return [(channel, event) for channel, event, _ in published]

    def channels(self, name: str, **changes: Any) -> list[str]:
        return [channel for channel, _ in self.feed(name, **changes)]

    def seed(self, begun: tuple[int, int]) -> dict[str, Any]:
        published = self.streams.seed_balances(CAPITAL, begun, RECEIPT)
        assert all(channel == BALANCES for channel, _, _ in published)
        return {event.currency: event.balance for _, event, _ in published}


def test_an_order_is_told_from_acceptance_to_its_end():
    """Each fill is an order update and a fill."""
    harness = Harness()
    names = ["order_accepted", "order_fill_partial", "order_fill_final"]
    published = [event for name in names for event in harness.feed(name)]
    assert [channel for channel, _ in published] == [
        ORDER_INFO, ORDER_INFO, FILLS, ORDER_INFO, FILLS,
    ]  # fmt: skip
    states = [event.status for channel, event in published if channel == ORDER_INFO]
    assert states == ["open", "partial", "filled"]
    assert harness.signs == 3


@pytest.mark.parametrize(
    ("wanted", "published"),
    [({ORDER_INFO: USDT}, [ORDER_INFO]), ({FILLS: USDT}, [FILLS]), ({POSITIONS: PERP}, [])],
)
def test_only_wanted_channels_are_published(wanted, published):
    """One stream feeds ORDER_INFO and FILLS; every frame of it proves the signature."""
    harness = Harness(wanted)
    assert harness.channels("order_fill_partial") == published
    assert harness.signs == 1


def test_other_markets_of_the_account_are_left_alone():
    """The account's streams carry all of its markets."""
    harness = Harness({ORDER_INFO: PERP, FILLS: PERP, POSITIONS: USDT})
    assert harness.channels("order_fill_partial") == []
    assert harness.channels("position_opened") == []


def test_a_repeated_fill_is_delivered_once():
    """A reconnect may repeat it."""
    harness = Harness()
    assert FILLS in harness.channels("order_fill_partial")
    assert FILLS not in harness.channels("order_fill_partial")
    assert harness.streams.counts.repeated_fills == 1


@pytest.mark.parametrize("changes", [{"s": "SOL_USDC"}, {"i": "60011223345"}])
def test_fill_ids_count_per_market_and_per_order(changes):
    """Another market counts for itself, and a trade with oneself fills two orders."""
    both = USDT | {"SOL-USDC": "SOL_USDC"}
    harness = Harness({FILLS: both})
    harness.feed("order_fill_partial")
    assert harness.channels("order_fill_partial", **changes) == [FILLS]


@pytest.mark.parametrize("fill_id", [0, None])
def test_fills_without_an_id_are_all_delivered(fill_id):
    """Nothing tells two of them apart."""
    harness = Harness({FILLS: USDT})
    assert harness.channels("order_fill_partial", t=fill_id) == [FILLS]
    assert harness.channels("order_fill_partial", t=fill_id) == [FILLS]


@pytest.mark.parametrize("end", ["order_cancelled", "order_expired_ioc", "order_fill_final"])
def test_an_order_that_ended_does_not_live_again(end):
    """A late acceptance is dropped, a late fill is still a fill."""
    harness = Harness()
    harness.feed(end)
    assert harness.channels("order_accepted") == []
    assert harness.channels("order_fill_partial") == [FILLS]
    assert harness.channels(end) == []
    assert harness.streams.counts.late_order_updates == 3
    assert harness.channels("order_accepted", i="1") == [ORDER_INFO]


def test_a_fill_before_the_acceptance_is_passed_through():
    """The venue promises no order between them."""
    harness = Harness()
    assert harness.channels("order_fill_partial") == [ORDER_INFO, FILLS]
    assert harness.channels("order_accepted") == [ORDER_INFO]


def test_the_memory_of_orders_and_fills_is_bounded(monkeypatch):
    """The oldest are forgotten first."""
    monkeypatch.setattr(account_streams, "REMEMBERED_ORDERS", 3)
    monkeypatch.setattr(account_streams, "REMEMBERED_FILLS", 3)
    harness = Harness()
    for number in range(1, 6):
        assert harness.channels("order_fill_final", i=str(number), t=number) == [ORDER_INFO, FILLS]
    assert harness.channels("order_fill_final", i="3", t=3) == []
    assert harness.channels("order_fill_final", i="1", t=1) == [ORDER_INFO, FILLS]


def test_initial_positions_and_changes_are_published():
    """With and without an event."""
    harness = Harness()
    names = ["position_snapshot_no_e", "position_adjusted", "position_closed"]
    events = [event for name in names for _, event in harness.feed(name)]
    assert [(event.initial, event.side) for event in events] == [
        (True, "short"), (False, "short"), (False, "flat"),
    ]  # fmt: skip


def test_balances_are_seeded_and_then_follow_the_stream():
    """One event per asset, then the changes."""
    harness = Harness()
    assert harness.seed(harness.streams.begin_seed()) == {"USDC": 110, "USDT": 30}
    ((channel, change),) = harness.feed("balance_update_1")
    assert (channel, change.currency, change.balance, change.initial) == (
        BALANCES, "USDT", 30, False,
    )  # fmt: skip


def test_an_older_seed_never_overwrites_a_newer_change():
    """What arrived after the request left is newer than its answer."""
    harness = Harness()
    harness.feed("balance_update_1", a="USDC")
    begun = harness.streams.begin_seed()
    harness.feed("balance_update_1")
    assert harness.seed(begun) == {"USDC": 110}
    assert harness.streams.counts.superseded_balances == 1


def test_the_answer_of_an_older_request_does_not_undo_a_newer_one():
    """After two quick reconnects two requests are under way."""
    harness = Harness()
    first = harness.streams.begin_seed()
    second = harness.streams.begin_seed()
    assert harness.seed(second) == {"USDC": 110, "USDT": 30}
    assert harness.seed(first) == {}


def test_balances_that_nobody_wants_are_not_published():
    """Neither seeds nor changes."""
    harness = Harness({ORDER_INFO: USDT})
    assert harness.seed(harness.streams.begin_seed()) == {}
    assert harness.channels("balance_update_1") == []
    assert harness.signs == 1
