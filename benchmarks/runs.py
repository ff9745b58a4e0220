"""One run: a server here, a contender in a fresh process, and a check that nothing was lost."""

import asyncio
import os
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.capture import Capture, chunked
from benchmarks.figures import Day, Figures, InvalidRun, Plan, Sent, check, figures_of
from benchmarks.job import BATCH, READY, Job, Line
from benchmarks.progress import cpu_seconds
from benchmarks.venue import Client, Venue, serving

CHUNK_BYTES: Final = 64 * 1024
RUN_SECONDS: Final = 90
REPOSITORY: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Bench:
    """What every run shares: the server's certificate and a directory for the processes' files."""

    tls: ssl.SSLContext
    ca_file: Path
    directory: Path

    async def run(self, plan: Plan, day: Day) -> Figures:
        """Run once; raises `InvalidRun`."""
        capture = day.capture(plan.contender)
        times_file = self.directory / "times"
        async with serving(capture, self.tls) as venue:
            job = Job(
                contender=plan.contender,
                rest_url=venue.rest_url,
                ws_url=venue.ws_url,
                ca_file=str(self.ca_file),
                symbols=list(capture.symbols),
                venue_symbols=list(capture.venue_symbols),
                warmup=plan.warmup,
                messages=plan.messages,
                lockstep=plan.lockstep,
                touch_book=plan.touch_book,
                times_file=str(times_file) if plan.per_second else "",
            )
            async with asyncio.timeout(RUN_SECONDS):
                sent, line = await self._talk(job, plan, capture, venue)
        check(plan, day, line)
        return figures_of(plan, day, sent, line, times_file)

    async def _talk(
        self, job: Job, plan: Plan, capture: Capture, venue: Venue
    ) -> tuple[Sent, Line]:
        contender = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.contender",
            msgspec.json.encode(job).decode(),
            cwd=REPOSITORY,
            env=self._environment(),
            stdout=asyncio.subprocess.PIPE,
            limit=2**20,
        )
        assert contender.stdout is not None  # noqa: S101 - asked for above
        try:
            await _line(contender.stdout, READY)
            sent = Sent(time.perf_counter(), cpu_seconds())
            frames = capture.frames[: plan.messages]
            await _send(venue.clients[-1], frames, plan, contender.stdout, sent)
            line = await _line(contender.stdout, "result")
            sent.waited_seconds = venue.clients[-1].waited_seconds
            if len(venue.clients) != 1:
                line.complaints.append(f"{len(venue.clients)} sockets were opened")
            await contender.wait()
        finally:
            if contender.returncode is None:
                contender.kill()
                await contender.wait()
        return sent, line

    def _environment(self) -> dict[str, str]:
        # what a feed cannot be told is told to Python: the authority, and where caches go
        own = {"SSL_CERT_FILE": str(self.ca_file), "XDG_CACHE_HOME": str(self.directory)}
        return os.environ | own


async def _send(
    client: Client, frames: Sequence[bytes], plan: Plan, said: asyncio.StreamReader, sent: Sent
) -> None:
    if plan.per_second:
        await client.pace(frames, plan.per_second, sent.started_at)
    elif plan.lockstep:
        for at in range(0, len(frames), plan.lockstep):
            if at:
                before = time.perf_counter()
                await _line(said, BATCH)
                client.waited_seconds += time.perf_counter() - before
            client.write(b"".join(frames[at : at + plan.lockstep]))
    else:
        await client.saturate(chunked(frames, CHUNK_BYTES))
    sent.seconds = time.perf_counter() - sent.started_at
    sent.cpu = cpu_seconds() - sent.cpu_began


async def _line(said: asyncio.StreamReader, event: str) -> Line:
    text = await said.readline()
    if not text:
        raise InvalidRun(f"the contender ended before it said {event}; its errors are above")
    line = msgspec.json.decode(text, type=Line)
    if line.event != event:
        raise InvalidRun(f"the contender said {line.event} where {event} was due")
    return line
