"""Medians, ratios and goals of a run of the programme, under the keys of the JSON file."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Final

from benchmarks.figures import Delays, Figures
from benchmarks.programme import MARKETS, PEAK_MARKETS, PEAK_PER_SECOND, Settings

PACKAGES: Final = ("aiofastnet", "ccxt", "cryptofeed", "msgspec", "picows", "uvloop", "websockets")
RIVALS: Final = ("ccxt", "floor", "cryptofeed", "ccxt_conflated")

type Results = Mapping[str, Sequence[Figures]]


@dataclass(frozen=True)
class Goal:
    """A limit that a figure must not exceed."""

    words: str
    key: str
    limit: float


GOALS: Final = (
    Goal("native / ccxt, CPU per delivered message: at most 1/8", "native_to_ccxt", 1 / 8),
    Goal("native / floor, CPU per message: at most 1.6", "native_to_floor", 1.6),
    Goal("native / cryptofeed's Gate, CPU per message: below 1", "native_to_cryptofeed", 1.0),
    Goal(
        "p99 receipt to callback at 20,000 msg/s: under 1000 us",
        "native_p99_receipt_to_callback_us",
        1_000.0,
    ),
    Goal("91 markets at 10,400 msg/s: under 0.5 of a core", "peak_cpu_share", 0.5),
    Goal("91 markets: the backlog grows by under 1000 us", "peak_backlog_growth_us", 1_000.0),
)


def summary(results: Results, settings: Settings) -> dict[str, Any]:
    """Return everything that goes to the JSON file: medians first, raw rounds last."""
    figures: dict[str, Any] = {}
    for name, rounds in results.items():
        figures |= _paced(name, rounds) if rounds[0].delays else _saturated(name, rounds)
    native = figures.get("native_cpu_us_per_message")
    for rival in RIVALS:
        other = figures.get(f"{rival}_cpu_us_per_message")
        if native is not None and other is not None:
            figures[f"native_to_{rival}"] = native / other
    figures["goals"] = [
        {
            "goal": goal.words,
            "value": figures[goal.key],
            "limit": goal.limit,
            "holds": figures[goal.key] <= goal.limit,
        }
        for goal in GOALS
        if goal.key in figures
    ]
    figures["settings"] = asdict(settings) | {"markets": MARKETS, "peak_markets": PEAK_MARKETS}
    figures["versions"] = {package: version(package) for package in PACKAGES}
    figures["machine"] = _machine()
    figures["rounds"] = {name: [asdict(f) for f in rounds] for name, rounds in results.items()}
    return figures


def _saturated(name: str, rounds: Sequence[Figures]) -> dict[str, float]:
    keys = ("cpu_us_per_message", "messages_per_second", "server_cpu_share", "server_waited_share")
    medians = {f"{name}_{key}": statistics.median(getattr(f, key) for f in rounds) for key in keys}
    if name == "ccxt_conflated":
        shares = [figures.books_delivered_share for figures in rounds]
        medians[f"{name}_books_delivered_share"] = statistics.median(shares)
    return medians


def _paced(name: str, rounds: Sequence[Figures]) -> dict[str, float]:
    prefix = "peak" if name == "peak" else "native"
    delays = [figures.delays for figures in rounds if figures.delays is not None]
    medians = _delays(prefix, delays)
    if name == "peak":
        medians |= {
            "peak_markets": PEAK_MARKETS,
            "peak_offered_per_second": PEAK_PER_SECOND,
            "peak_messages_per_second": statistics.median(f.messages_per_second for f in rounds),
            "peak_cpu_share": statistics.median(f.cpu_share for f in rounds),
            "peak_backlog_growth_us": statistics.median(d.backlog_growth for d in delays),
        }
    else:
        medians["native_latency_cpu_share"] = statistics.median(f.cpu_share for f in rounds)
    return medians


def _delays(prefix: str, delays: Sequence[Delays]) -> dict[str, float]:
    medians: dict[str, float] = {}
    for quantile in ("p50", "p99", "max"):
        handled = statistics.median(d.receipt_to_callback[quantile] for d in delays)
        whole = statistics.median(d.sent_to_callback[quantile] for d in delays)
        medians[f"{prefix}_{quantile}_receipt_to_callback_us"] = handled
        medians[f"{prefix}_{quantile}_sent_to_callback_us"] = whole
    return medians


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "load_average_at_end": os.getloadavg(),
    }
