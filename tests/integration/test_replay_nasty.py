"""Each nasty input of the recordings: what comes out, which counters move, what the socket does."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
import pytest

from backpack_feed.replay import nasty, virtual_time
from backpack_feed.replay.case_player import Played, play
from backpack_feed.replay.case_streams import Case
from tests.support.backpack_fixtures import DIRECTORY

BOOK = ("l2_book", 1_000)


@dataclass(frozen=True)
class Right:
    """What a case must give.

    `events`: (channel, id or sequence number) in order. `counters`: the scalar counters that move,
    and no others. What is None is not compared.
    """

    events: tuple[tuple[str, Any], ...] | None = ()
    counters: dict[str, Any] | None = field(default_factory=dict)
    sockets: int | None = 1
    notes: str = ""


REFUSED_FRAME = {"dropped_messages": 1, "decode_errors": 1}

RIGHT: dict[str, Right] = {
    "bad_json": Right((("trades", "100"),), REFUSED_FRAME),
    "binary_frame": Right((("trades", "101"),), REFUSED_FRAME),
    "unknown_event": Right((BOOK,), {"suppressed.unread_frames": 1}),
    "extra_fields_and_reordered_keys": Right((("trades", "104"),)),
    "missing_required_field": Right((("trades", "106"),), REFUSED_FRAME),
    "ids_as_strings": Right(
        (BOOK, ("trades", "107"), ("l2_book", 1_001), ("ticker", None), ("l1_book", None))
    ),
    "numbers_instead_of_decimal_strings": Right(
        (("l2_book", 1_001), ("trades", "109"), ("l2_book", 1_002))
    ),
    "exponent_numbers": Right((("trades", "110"),)),
    "ids_above_2_53": Right((BOOK,), {"suppressed.unread_frames": 1}),
    "bookticker_null_side": Right((), {"suppressed.one_sided_quotes": 1}),
    "kline_null_ohlc": Right(()),
    "markprice_without_funding": Right((), {"suppressed.unknown_symbols": 1}),
    "depth_gap": Right(
        (BOOK, ("l2_book", 1_001), ("l2_book", 1_003)), {"sequence_gaps": 1, "book_resyncs": 1}
    ),
    "depth_duplicate_and_stale": Right(
        (("l2_book", 1_002), ("l2_book", 1_003)), {"suppressed.stale_deltas": 2}
    ),
    "depth_overlap": Right((BOOK, ("l2_book", 1_005)), {"sequence_overlaps": 1}),
    "depth_sequence_restart": Right(
        (("l2_book", 1_001), ("l2_book", 2)), {"book_resyncs": 1, "suppressed.stale_deltas": 2}
    ),
    "snapshot_older_than_buffer": Right((("l2_book", 1_001),), notes="came before the snapshot"),
    "zero_for_missing_level": Right((("l2_book", 1_011), ("l2_book", 1_012))),
    "price_string_mismatch": Right((("l2_book", 1), ("l2_book", 2))),
    "crossed_book": Right((("l2_book", 1_012), ("l2_book", 1_013)), {"book_resyncs": 1}),
    "empty_delta": Right((("l2_book", 1_013),)),
    "huge_delta": Right((BOOK, ("l2_book", 1_001)), notes="made 1 frames"),
    "duplicate_trades_after_reconnect": Right(None, {"reconnects": 1}, sockets=2),
    "trade_id_gap": Right(
        (("trades", "202"), ("trades", "205")), {"sequence_gaps": 1, "trades_lost": 2}
    ),
    "trade_id_zero_or_missing": Right((("trades", "0"), ("trades", "0"), ("trades", None))),
    "clock_skew_future_timestamp": Right((("trades", "210"),), {"future_timestamps": 1}),
    "unknown_symbol_in_frame": Right((("trades", "212"),), {"suppressed.unknown_symbols": 1}),
    "dotted_symbols": Right(None, {}, sockets=2),
    "silent_subscription": Right((), None, 1, "NOPE-USDC-PERP is not a market of the venue"),
    "quiet_market": Right((BOOK,)),
    "ping_pong": Right((BOOK,)),
    "half_open_socket": Right((BOOK, BOOK), {"reconnects": 1}, sockets=2),
    "server_close_1001": Right((BOOK, BOOK), {"reconnects": 1}, sockets=2),
    "abnormal_close_1006": Right((BOOK, BOOK), {"reconnects": 1, "ws_errors": 1}, sockets=2),
    "error_4006": Right((("trades", "214"),), {"ws_errors": 1}),
    "error_4003_bad_signature": Right((), {"auth_failures": 1}),
    "signature_expired_on_resubscribe": Right(
        (), {"reconnects": 1, "ws_errors": 1}, sockets=2, notes="600 s later"
    ),
    "position_snapshot_without_e": Right((("positions", "28600000017"),)),
    "rest_plain_text_400": Right((BOOK,)),
    "rest_429_and_html": Right((BOOK,)),
    "rest_truncated_or_reset": Right((BOOK,)),
    "flood": Right(None, {}, notes="made 100000 frames"),
}


@cache
def cases() -> dict[str, Case]:
    body = (DIRECTORY / "nasty.json").read_bytes()
    return {case.name: case for case in msgspec.json.decode(body, type=nasty.NastyFile).cases}


@cache
def played(name: str) -> Played:
    return virtual_time.run(play(cases()[name]))


def events(name: str, channel: str) -> list[dict[str, Any]]:
    return [event for event in played(name).events if event["channel"] == channel]


def _scalars(counters: dict[str, Any]) -> dict[str, int]:
    flat = {k: v for k, v in counters.items() if isinstance(v, int)}
    return flat | {f"suppressed.{k}": v for k, v in counters.get("suppressed", {}).items()}


def _mark(event: dict[str, Any]) -> tuple[str, Any]:
    return event["channel"], event.get("sequence_number", event.get("id"))


def test_every_recorded_case_is_claimed():
    """A new case in the file needs its right behaviour here."""
    assert cases().keys() == RIGHT.keys()


@pytest.mark.parametrize("name", RIGHT)
def test_a_nasty_input_gives_what_is_right(name):
    """Events in order, the counters that move and no others, the number of sockets."""
    right, came = RIGHT[name], played(name)
    if right.events is not None:
        assert tuple(_mark(event) for event in came.events) == right.events
    if right.counters is not None:
        assert _scalars(came.counters) == right.counters
    if right.sockets is not None:
        assert came.sockets == right.sockets
    assert right.notes in " ".join(came.notes)
    assert " open" in f" {came.socket}"


def test_numbers_stay_exact():
    """JSON numbers and exponents are the decimals that they say."""
    (trade,) = events("numbers_instead_of_decimal_strings", "trades")
    assert (str(trade["price"]), str(trade["amount"])) == ("98.97", "1")
    (trade,) = events("exponent_numbers", "trades")
    assert (trade["price"], trade["amount"]) == (
        msgspec.convert("1e-9", type(trade["price"])),
        10**4,
    )


def test_a_gap_shows_no_book_until_the_next_snapshot():
    """The delta after the gap is never applied to the old book."""
    first, applied, resynced = events("depth_gap", "l2_book")
    assert (first["delta"], resynced["delta"]) == (None, None)
    assert applied["delta"] is not None
    assert str(resynced["best_ask"][1]) == "3.00"


def test_duplicates_and_stale_deltas_change_nothing():
    """The level stays at the first value of its id."""
    assert str(events("depth_duplicate_and_stale", "l2_book")[-1]["best_ask"][1]) == "3.00"
    assert played("depth_duplicate_and_stale").books["SOL-USDC"]["sequence"] == 1_003


def test_an_overlap_is_applied():
    """Quantities are absolute."""
    assert str(events("depth_overlap", "l2_book")[-1]["best_ask"][1]) == "5.00"


def test_a_crossed_top_is_never_published():
    """Only the book after the next snapshot is."""
    for event in events("crossed_book", "l2_book"):
        bid, ask = event["best_bid"], event["best_ask"]
        assert bid is None or ask is None or bid[0] < ask[0]


def test_padded_prices_are_one_level():
    """REST's 86700 is deleted by the stream's 86700.0."""
    assert events("price_string_mismatch", "l2_book")[-1]["best_ask"] is None


def test_an_old_snapshot_is_refused_and_fetched_again():
    """The book comes from the second answer."""
    assert played("snapshot_older_than_buffer").requests[0] == "/api/v1/depth SOL_USDC: 200"
    (book,) = events("snapshot_older_than_buffer", "l2_book")
    assert book["sequence_number"] == 1_001


def test_a_huge_delta_is_one_callback():
    """Ten thousand levels in one frame."""
    assert events("huge_delta", "l2_book")[-1]["changed_levels"] == 10_000


def test_trades_come_once_across_a_reconnect():
    """200, 201, 202, whatever REST repeats; a fresh book after the reconnect."""
    name = "duplicate_trades_after_reconnect"
    assert [trade["id"] for trade in events(name, "trades")] == ["200", "201", "202"]
    assert [book["delta"] for book in events(name, "l2_book")] == [None, None]


def test_dotted_symbols_reach_their_own_books():
    """Realtime and 200 ms frames of symbols with dots, each on the feed of its window."""
    last = {event["symbol"]: event for event in events("dotted_symbols", "l2_book")}
    assert last["AAPL.US-USDC-PERP"]["sequence_number"] == 1
    assert last["BRK.B.US-USDC"]["sequence_number"] == 80
    assert last["BRK.B.US-USDC"]["delta"] is not None


def test_a_silent_subscription_is_checked_by_rest():
    """An unknown market is refused before connecting, a closed one has no book and says why."""
    came = played("silent_subscription")
    assert "/api/v1/depth TON_USDC_PERP: 404" in came.requests
    assert came.books["TON-USDC-PERP"]["synced"] is False


def test_a_refused_signature_is_signed_once_more():
    """With the venue's clock; the public streams of the socket stay."""
    came = played("error_4003_bad_signature")
    signed = [frame for frame in came.sent if "signature" in frame]
    assert len(signed) == 2
    assert signed[0]["signature"][1] != signed[1]["signature"][1]
    assert "/api/v1/time: 200" in came.requests


def test_every_subscription_is_signed_anew():
    """Ten minutes later the time and the signature are other ones."""
    signed = [
        f["signature"] for f in played("signature_expired_on_resubscribe").sent if "signature" in f
    ]
    assert len(signed) == 2
    assert int(signed[1][2]) - int(signed[0][2]) >= 600_000
    assert signed[0][1] != signed[1][1]


def test_a_position_without_an_event_is_the_initial_one():
    """Dispatched by its stream."""
    (position,) = events("position_snapshot_without_e", "positions")
    assert position["initial"] is True
    assert str(position["entry_price"]) == "126.97"


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("rest_plain_text_400", ["400"]),
        ("rest_429_and_html", ["429", "429"]),
        ("rest_truncated_or_reset", ["connection closed by peer on a reused connection"]),
    ],
)
def test_a_failed_snapshot_is_asked_for_again(name, first):
    """No book meanwhile, then one."""
    depth = [r.partition(": ")[2] for r in played(name).requests if "/depth" in r]
    assert depth[: len(first) + 1] == [*first, "200"]
    assert played(name).books["SOL-USDC"]["synced"] is True


def test_a_flood_is_delivered_whole():
    """100,000 frames over 91 markets, none dropped."""
    came = played("flood")
    assert came.event_counts["l2_book"] == 100_000 + 91
    assert sum(book["synced"] for book in came.books.values()) == 91
