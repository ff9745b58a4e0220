"""Which contenders run, with how many messages, and in which order: round by round, interleaved."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.backpack_wire import backpack_capture
from benchmarks.figures import Day, Figures, Plan
from benchmarks.flow import build_flow
from benchmarks.gate_wire import gate_capture
from benchmarks.runs import Bench
from benchmarks.venue import certify

MARKETS: Final = 20
PEAK_MARKETS: Final = 91
PEAK_PER_SECOND: Final = 10_400.0
LATENCY_PER_SECOND: Final = 20_000.0
WARMUP_SHARE: Final = 0.1
LEAST_MESSAGES: Final = 200

# the slower ones get fewer messages, so that every run takes about as long
SHARES: Final = {
    "floor": 1.0,
    "floor_untyped": 1.0,
    "native": 1.0,
    "native_touch": 1.0,
    "cryptofeed": 0.3,
    "ccxt": 0.025,
    "ccxt_conflated": 0.2,
}
PACED: Final = ("latency", "peak")
TOUCH: Final = "native_touch"
SOCKETS: Final = ("picows", "websockets_receive")
EVERYTHING: Final = (*SHARES, *PACED)
GROUPS: Final = {"sockets": SOCKETS}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the command line asked for; `messages` is the number for the fastest contenders."""

    rounds: int
    messages: int
    paced_seconds: float
    touch_book: bool
    names: Sequence[str]


def plan_of(name: str, settings: Settings) -> Plan:
    """Return how the named measurement runs."""
    per_second = {"latency": LATENCY_PER_SECOND, "peak": PEAK_PER_SECOND}.get(name, 0.0)
    if per_second:
        messages = int(per_second * settings.paced_seconds)
    else:
        messages = max(LEAST_MESSAGES, int(settings.messages * SHARES.get(name, 1.0)))
    return Plan(
        contender="native" if name in (*PACED, TOUCH) else name,
        warmup=int(messages * WARMUP_SHARE),
        messages=messages,
        per_second=per_second,
        # ccxt hands over the newest state of each market only: one frame per market at a time
        # makes it deliver every frame, as the others do
        lockstep=MARKETS if name == "ccxt" else 0,
        touch_book=settings.touch_book or name == TOUCH,
    )


async def measure(settings: Settings, tell: Callable[[str], None]) -> dict[str, list[Figures]]:
    """Return the figures of every round by name; raises `InvalidRun`."""
    plans = {name: plan_of(name, settings) for name in settings.names}
    usual = [plan.messages for name, plan in plans.items() if name != "peak"]
    days = {False: _day(MARKETS, max(usual, default=0))}
    if "peak" in plans:
        days[True] = _day(PEAK_MARKETS, plans["peak"].messages)
    results: dict[str, list[Figures]] = {name: [] for name in plans}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        tls, ca_file = certify(Path(directory))
        bench = Bench(tls, ca_file, Path(directory))
        for number in range(settings.rounds):
            # every other round the other way round: what drifts hits all alike
            for name in list(plans)[:: -1 if number % 2 else 1]:
                tell(f"round {number + 1}/{settings.rounds}: {name}")
                results[name].append(await bench.run(plans[name], days[name == "peak"]))
    return results


def _day(markets: int, events: int) -> Day:
    flow = build_flow(markets=markets, events=events)
    start_us = time.time_ns() // 1_000
    return Day(flow, backpack_capture(flow, start_us), gate_capture(flow, start_us))
