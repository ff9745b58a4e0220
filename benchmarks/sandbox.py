"""`python -m benchmarks.sandbox`: how many frames a second the sandbox gives to 1 and 20 clients.

The venue runs in one process on one core, all clients in another on another core, TLS on.
"""

import argparse
import asyncio
import os
import platform
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.figures import InvalidRun
from benchmarks.runs import REPOSITORY
from benchmarks.sandbox_server import Ready, ServerJob

SANDBOX_JSON: Final = REPOSITORY / "var" / "bench" / "sandbox.json"
WARMUP_SECONDS: Final = 1.5
NOISE_SHARE: Final = 0.05
PACKAGES: Final = ("aiohttp", "picows", "uvloop")
OFFERS: Final = {
    "": None,
    "deflate": "permessage-deflate",
    "deflate, no context": "permessage-deflate; server_no_context_takeover",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One measurement; `goal` is in frames a second to each client, of an idle machine."""

    name: str
    mode: Literal["replay", "flow", "live"]
    clients: int = 1
    loop: Literal["asyncio", "uvloop"] = "uvloop"
    offer: str = ""
    rate: float = 1_000.0
    trades_per_second: float = 50.0
    goal: int | None = None


CASES: Final = (
    Case(name="prepared frames, 1 client", mode="replay", goal=50_000),
    Case(name="prepared frames, 20 clients", mode="replay", clients=20, goal=10_000),
    Case(name="prepared frames, 1 client, asyncio", mode="replay", loop="asyncio"),
    Case(name="prepared frames, 20 clients, asyncio", mode="replay", clients=20, loop="asyncio"),
    Case(name="prepared frames, 1 deflating client", mode="replay", offer="deflate"),
    Case(name="prepared frames, 20 deflating clients", mode="replay", clients=20, offer="deflate"),
    Case(
        name="prepared frames, 20 clients, shared deflate",
        mode="replay",
        clients=20,
        offer="deflate, no context",
    ),
    Case(name="market's own frames, 1 client", mode="flow", goal=50_000),
    Case(name="market's own frames, 20 clients", mode="flow", clients=20, goal=10_000),
    Case(name="market's own frames, 20 clients, asyncio", mode="flow", clients=20, loop="asyncio"),
    Case(name="published mean load, 1 client", mode="live", rate=10.0, trades_per_second=1.0),
    Case(name="published peak load, 1 client", mode="live", rate=33.0, trades_per_second=3.3),
)


@dataclass(frozen=True)
class Outcome:
    """What one case showed; shares are of one core over the measured time.

    `capacity_per_second` is what the server would send to each client with its core for itself: the
    frames per second of its CPU time. It is the figure that a busy machine changes least.
    """

    name: str
    clients: int
    frames_per_second: float
    bytes_per_frame: float
    server_cpu_share: float
    client_cpu_share: float
    server_waited_share: float
    client_waited_share: float
    capacity_per_second: float
    bottleneck: str
    goal: int | None


class _Counter(WSListener):  # type: ignore[misc]
    """Counts whole frames and looks at none."""

    def __init__(self) -> None:
        self.frames = 0
        self.bytes = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Count one; the venue pings like the real one."""
        if frame.msg_type is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        self.frames += 1
        self.bytes += frame.payload_size


async def run(case: Case, seconds: float, server_core: int) -> Outcome:
    """Measure one case."""
    with tempfile.TemporaryDirectory() as directory:
        async with _server(case, directory, server_core) as (process_id, ready):
            counters = await _connect(case, ready)
            await asyncio.sleep(WARMUP_SECONDS)
            before = _snapshot(counters, process_id)
            await asyncio.sleep(seconds)
            after = _snapshot(counters, process_id)
    return _outcome(case, {key: after[key] - before[key] for key in after})


@asynccontextmanager
async def _server(case: Case, directory: str, core: int) -> AsyncIterator[tuple[int, Ready]]:
    job = ServerJob(
        mode=case.mode,
        loop=case.loop,
        state_dir=directory,
        clients=case.clients,
        core=core,
        rate=case.rate,
        trades_per_second=case.trades_per_second,
        profile="venue" if case.mode == "live" else "small",
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.sandbox_server",
        msgspec.json.encode(job).decode(),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None  # noqa: S101 - asked for above
    try:
        line = await process.stdout.readline()
        if not line:
            raise InvalidRun("the server ended before it was ready; its errors are above")
        yield process.pid, msgspec.json.decode(line, type=Ready)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _connect(case: Case, ready: Ready) -> list[_Counter]:
    tls = ssl.create_default_context(cafile=ready.ca_file)
    offer = OFFERS[case.offer]
    headers = {"Sec-WebSocket-Extensions": offer} if offer else None
    request = msgspec.json.encode({"method": "SUBSCRIBE", "params": ready.streams})
    counters = []
    for _ in range(case.clients):
        transport, counter = await ws_connect(
            _Counter, ready.ws_url, ssl_context=tls, extra_headers=headers
        )
        transport.send(WSMsgType.TEXT, request)
        counters.append(counter)
    return counters


def _snapshot(counters: Sequence[_Counter], server: int) -> dict[str, float]:
    server_cpu, server_waited = _scheduled(server)
    client_cpu, client_waited = _scheduled(os.getpid())
    return {
        "frames": sum(counter.frames for counter in counters),
        "bytes": sum(counter.bytes for counter in counters),
        "server_cpu": server_cpu,
        "server_waited": server_waited,
        "client_cpu": client_cpu,
        "client_waited": client_waited,
        "seconds": time.perf_counter(),
    }


def _scheduled(process: int) -> tuple[float, float]:
    """Seconds on the core, and seconds in which it could have run but another one did."""
    cpu, waited, _ = Path(f"/proc/{process}/schedstat").read_text().split()
    return int(cpu) / 1e9, int(waited) / 1e9


def _outcome(case: Case, passed: dict[str, float]) -> Outcome:
    seconds, frames = passed["seconds"], passed["frames"]
    shares = {key: passed[key] / seconds for key in passed if key.endswith(("_cpu", "_waited"))}
    return Outcome(
        name=case.name,
        clients=case.clients,
        frames_per_second=frames / seconds / case.clients,
        bytes_per_frame=passed["bytes"] / max(1, frames),
        server_cpu_share=shares["server_cpu"],
        client_cpu_share=shares["client_cpu"],
        server_waited_share=shares["server_waited"],
        client_waited_share=shares["client_waited"],
        capacity_per_second=frames / case.clients / max(1e-9, passed["server_cpu"]),
        bottleneck=_bottleneck(case, shares),
        goal=case.goal,
    )


def _bottleneck(case: Case, shares: Mapping[str, float]) -> str:
    """Who was on its core or wanted to be for the greater part of the time."""
    if case.mode == "live":
        return "the clock"
    side = max("server", "client", key=lambda one: shares[f"{one}_cpu"] + shares[f"{one}_waited"])
    waited = shares[f"{side}_waited"]
    return side if waited < NOISE_SHARE else f"{side}, kept from its core {waited:.0%}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every case, print a table and write the JSON file."""
    asked = _parser().parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        print("the server and its clients need a core each, and here is one", file=sys.stderr)
        return 1
    os.sched_setaffinity(0, {cores[1]})
    outcomes = []
    print(f"{'':46}{'to each/s':>11}{'capacity/s':>12}{'server':>8}{'client':>8}  bottleneck")
    for case in CASES:
        if asked.only in case.name:
            try:
                outcome = uvloop.run(run(case, asked.seconds, cores[0]))
            except InvalidRun as error:
                print(f"{case.name}: no figures: {error}", file=sys.stderr)
                return 1
            outcomes.append(outcome)
            print(_line(outcome), flush=True)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.encode({"cases": outcomes, "machine": _machine()})
    asked.out.write_bytes(msgspec.json.format(content, indent=2) + b"\n")
    print(f"written to {asked.out}")
    return 0


def _line(outcome: Outcome) -> str:
    verdict = ""
    if outcome.goal is not None:
        verdict = f"; goal {outcome.goal:,}: {_verdict(outcome, outcome.goal)}"
    return (
        f"{outcome.name:46}{outcome.frames_per_second:11,.0f}{outcome.capacity_per_second:12,.0f}"
        f"{outcome.server_cpu_share:8.0%}{outcome.client_cpu_share:8.0%}"
        f"  {outcome.bottleneck}{verdict}"
    )


def _verdict(outcome: Outcome, goal: int) -> str:
    if outcome.frames_per_second >= goal:
        return "holds"
    return "holds by CPU time" if outcome.capacity_per_second >= goal else "FALLS SHORT"


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "load_average_at_end": os.getloadavg(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sandbox", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="measured, per case (5)")
    parser.add_argument("--only", default="", help="a part of the names of the cases")
    parser.add_argument("--out", type=Path, default=SANDBOX_JSON, help="var/bench/sandbox.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
