"""A slice of `make fuzz` for every run of the tests."""

import itertools
import json

import pytest

from backpack_feed.errors import DecodeError
from backpack_feed.wire.decode import decode, decode_depth_snapshot, decode_rest_trades
from tests.fuzz.mutations import mutated_frames
from tests.fuzz.run import GROWTH_LIMIT_MB, fuzz

SLICE_SECONDS = 15.0


def test_no_mutated_frame_escapes_and_memory_stays_flat(capsys):
    """Through socket, decoding, session and callbacks, for a fixed time."""
    report = fuzz(10**9, seed=20_260_901, seconds=SLICE_SECONDS)
    with capsys.disabled():
        print(f"\n{report}")  # noqa: T201 - the throughput belongs to the run
    assert report.escaped == []
    assert report.growth_mb < GROWTH_LIMIT_MB
    assert report.frames > 10_000
    assert all(report.events.get(channel, 0) for channel in ("l2_book", "trades", "positions"))


def test_an_exception_that_nobody_expected_is_reported(monkeypatch):
    """The session survives it and logs it; the run must not."""

    def broken(frame: bytes) -> None:
        raise ZeroDivisionError(len(frame))

    monkeypatch.setattr("backpack_feed.native.session.decode", broken)
    report = fuzz(100, seed=1, fill=False)
    assert report.escaped
    assert "ZeroDivisionError" in report.escaped[0]


def test_decoding_raises_its_own_error_and_no_other():
    """Frames and REST bodies alike."""
    for frame in itertools.islice(mutated_frames(3), 20_000):
        for read in (decode, decode_depth_snapshot, lambda body: decode_rest_trades(body, "X")):
            try:
                read(frame)
            except DecodeError:
                continue


def test_an_absurd_exponent_in_an_account_frame_is_refused():
    """Found by the mutations: even the absolute value of such a decimal raises."""
    position = {"s": "SOL_USDC_PERP", "i": 1, "q": "1e999999999", "T": 1}
    frame = json.dumps({"data": position, "stream": "account.positionUpdate"})
    with pytest.raises(DecodeError, match="unusable amount"):
        decode(frame)


def test_the_same_seed_gives_the_same_frames():
    """A failure can be repeated."""
    frames = [list(itertools.islice(mutated_frames(5), 500)) for _ in range(2)]
    assert frames[0] == frames[1]
    assert frames[0] != list(itertools.islice(mutated_frames(6), 500))
