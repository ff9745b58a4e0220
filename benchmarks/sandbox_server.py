"""The server's side of the sandbox benchmark: one venue on one core, driven as fast as it goes."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Final, Literal

import msgspec
import uvloop

from backpack_sandbox import Sandbox, SandboxConfig
from backpack_sandbox.market.catalog import Profile
from benchmarks.backpack_wire import backpack_capture
from benchmarks.capture import MEDIUM_MARK
from benchmarks.flow import build_flow

MARKETS: Final = 20
PREPARED_FRAMES: Final = 50_000
FRAMES_A_TURN: Final = 200
MODEL_SECONDS_A_TURN: Final = 0.01
UNSENT_BYTES_MAX: Final = 1024 * 1024
WAIT_SECONDS: Final = 0.001
"""Uvloop's timers count whole milliseconds: less would not wait at all."""
START_US: Final = 1_790_900_000_000_000

type Prepared = tuple[str, str, bytes]
"""(stream, symbol, frame's text)."""


class ServerJob(msgspec.Struct, frozen=True):
    """What a server process is asked to do.

    "replay" hands prepared frames to the fan-out, "flow" lets the market make them as fast as it
    can, "live" runs the market by the clock at `rate`, with which `profile` gives its load.
    """

    mode: Literal["replay", "flow", "live"]
    loop: Literal["asyncio", "uvloop"]
    state_dir: str
    clients: int
    core: int
    rate: float
    trades_per_second: float
    profile: Profile


class Ready(msgspec.Struct, frozen=True):
    """Where the server listens, and the streams that it will speak on."""

    ws_url: str
    ca_file: str
    streams: list[str]


def prepared() -> list[Prepared]:
    """Frames of a made-up day, with the names they go by."""
    capture = backpack_capture(build_flow(markets=MARKETS, events=PREPARED_FRAMES), START_US)
    texts = [frame[4:] if frame[1] == MEDIUM_MARK else frame[2:] for frame in capture.frames]
    return [_named(text) for text in texts]


def _named(text: bytes) -> Prepared:
    stream = str(msgspec.json.decode(text)["stream"])
    return stream, stream.partition(".")[2], text


async def serve(job: ServerJob) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = SandboxConfig(
        state_dir=Path(job.state_dir),
        rate=job.rate,
        trades_per_second=job.trades_per_second,
        profile=job.profile,
        paused=job.mode != "live",
    )
    frames = prepared() if job.mode == "replay" else []
    async with Sandbox(config) as venue:
        streams = _streams(venue, frames)
        ready = Ready(venue.ws_url, str(venue.ca_file), streams)
        print(msgspec.json.encode(ready).decode(), flush=True)
        await _until(lambda: stop.is_set() or _all_are_here(venue, job.clients, len(streams)))
        if job.mode == "live":
            await stop.wait()
        turn = _turn(venue, frames)
        while not stop.is_set():
            turn()
            await asyncio.sleep(0)
            await _until(lambda: _all_are_near(venue))


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(WAIT_SECONDS)


def _all_are_near(venue: Sandbox) -> bool:
    return all(session.unsent_bytes <= UNSENT_BYTES_MAX for session in venue.fanout)


def _all_are_here(venue: Sandbox, clients: int, streams: int) -> bool:
    return sum(len(session.streams) >= streams for session in venue.fanout) >= clients


def _streams(venue: Sandbox, frames: Sequence[Prepared]) -> list[str]:
    if frames:
        return sorted({stream for stream, _, _ in frames})
    kinds = ("depth", "trade", "bookTicker")
    return [f"{kind}.{symbol}" for kind in kinds for symbol in venue.exchange.engines]


def _turn(venue: Sandbox, frames: Sequence[Prepared]) -> Callable[[], None]:
    if not frames:
        return lambda: venue.advance(MODEL_SECONDS_A_TURN)
    endless: Iterator[Prepared] = cycle(frames)
    publish = venue.fanout.publish

    def replay() -> None:
        for _ in range(FRAMES_A_TURN):
            publish(*next(endless))

    return replay


def main() -> None:
    """`python -m benchmarks.sandbox_server <job as JSON>`."""
    job = msgspec.json.decode(sys.argv[1], type=ServerJob)
    os.sched_setaffinity(0, {job.core})
    factory = uvloop.new_event_loop if job.loop == "uvloop" else None
    asyncio.run(serve(job), loop_factory=factory)


if __name__ == "__main__":
    main()
