"""The contender's process: primes one feed or receiver, says `ready`, reports what a run cost.

`python -m benchmarks.contender JOB`, with JOB as JSON; started by `benchmarks.rounds`.
"""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from benchmarks.job import BATCH, READY, RECEIVERS, Job, Line
from benchmarks.progress import ConflatedProgress, Progress, TimedProgress

PRIMING_SECONDS = 30.0
SETTLE_SECONDS = 0.3
POLL_SECONDS = 0.02
STALL_SECONDS = 5.0


def main() -> None:
    """Run the job of the command line."""
    uvloop.run(_run(msgspec.json.decode(sys.argv[1], type=Job)))


async def _run(job: Job) -> None:
    progress = _progress(job)
    line = await (_receiver if job.contender in RECEIVERS else _feed)(job, progress)
    if isinstance(progress, TimedProgress):
        times = progress.came_at.tobytes() + progress.after_receipt.tobytes()
        await asyncio.to_thread(Path(job.times_file).write_bytes, times)
    _say(line)


def _progress(job: Job) -> Progress:
    marks = (job.warmup, job.messages)
    if job.contender == "ccxt_conflated":
        return ConflatedProgress(marks, touch_book=job.touch_book)
    if job.times_file:
        return TimedProgress(marks, touch_book=job.touch_book)
    return Progress(
        marks,
        touch_book=job.touch_book,
        lockstep=job.lockstep,
        on_batch=lambda: _say(Line(event=BATCH)),
    )


async def _receiver(job: Job, progress: Progress) -> Line:
    from benchmarks import receivers  # noqa: PLC0415 - a process loads what it measures only

    receive: Callable[[Job, Progress], Awaitable[None]] = getattr(receivers, job.contender)
    task = asyncio.ensure_future(receive(job, progress))
    primers = 2 * len(job.symbols)
    try:
        await _measured(lambda: progress.seen == primers, progress, task)
    finally:
        task.cancel()
        await asyncio.wait([task])
    return _result(progress, [])


async def _feed(job: Job, progress: Progress) -> Line:
    from benchmarks import feeds  # noqa: PLC0415 - a process loads what it measures only

    make = {
        "native": feeds.native,
        "ccxt": feeds.ccxt,
        "ccxt_conflated": feeds.ccxt,
        "cryptofeed": feeds.gate,
    }
    contender = make[job.contender](job, progress)
    stop = asyncio.Event()
    task = asyncio.ensure_future(contender.feed.run(stop))
    try:
        await _measured(contender.ready, progress, task)
        line = _result(progress, contender.complaints())
        line.tops = contender.tops()
    finally:
        stop.set()
        await _ended(task)
    return line


async def _measured(
    ready: Callable[[], bool], progress: Progress, task: asyncio.Future[Any]
) -> None:
    """Wait until primed, say so, and wait for the end; a stall ends it too, and will be seen."""
    async with asyncio.timeout(PRIMING_SECONDS):
        while not ready():
            if task.done():
                task.result()
                raise RuntimeError("the contender ended by itself")
            await asyncio.sleep(POLL_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)
    progress.begin()
    _say(Line(event=READY))
    seen = -1
    while not progress.finished.is_set() and seen != progress.seen:
        seen = progress.seen
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(progress.finished.wait(), STALL_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)  # whatever came twice comes now


async def _ended(task: asyncio.Future[Any]) -> None:
    _, running = await asyncio.wait([task], timeout=STALL_SECONDS)
    if running:
        task.cancel()
        await asyncio.wait([task])


def _result(progress: Progress, complaints: list[str]) -> Line:
    line = Line(event="result", seen=progress.seen, trades=progress.trades, complaints=complaints)
    line.book_callbacks = getattr(progress, "book_callbacks", progress.seen - progress.trades)
    if len(progress.readings) > 1:
        (began, cpu_began, seen_began), (ended, cpu_ended, seen_ended) = progress.readings
        line.measured = seen_ended - seen_began
        line.cpu_seconds = cpu_ended - cpu_began
        line.wall_seconds = ended - began
    return line


def _say(line: Line) -> None:
    print(msgspec.json.encode(line).decode(), flush=True)


if __name__ == "__main__":
    main()
