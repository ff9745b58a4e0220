"""The figures for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks.report import Results

HEAD: Final = ("CPU us/msg", "lowest", "highest", "msg/s", "messages", "server busy", "waiting")


def table(summarised: Mapping[str, Any], results: Results) -> Iterator[str]:
    """Yield the lines; the lowest and highest round stand beside the median."""
    if any(not rounds[0].delays for rounds in results.values()):
        yield f"{'':20}{''.join(f'{word:>12}' for word in HEAD)}"
    for name, rounds in results.items():
        if not rounds[0].delays:
            costs = [figures.cpu_us_per_message for figures in rounds]
            cells = (
                f"{summarised[f'{name}_cpu_us_per_message']:.2f}",
                f"{min(costs):.2f}",
                f"{max(costs):.2f}",
                f"{summarised[f'{name}_messages_per_second']:,.0f}",
                f"{rounds[0].messages:,}",
                f"{summarised[f'{name}_server_cpu_share']:.0%}",
                f"{summarised[f'{name}_server_waited_share']:.0%}",
            )
            yield f"{name:20}{''.join(f'{cell:>12}' for cell in cells)}"
    yield from _conflated(summarised)
    yield from _paced(summarised)
    for goal in summarised["goals"]:
        verdict = "holds" if goal["holds"] else "FALLS SHORT"
        yield f"{goal['goal']:60}{goal['value']:10.4g}  {verdict}"


def _conflated(summarised: Mapping[str, Any]) -> Iterator[str]:
    share = summarised.get("ccxt_conflated_books_delivered_share")
    if share is not None:
        yield f"ccxt_conflated: of all book changes, {share:.1%} reached a callback"
    ratio = summarised.get("native_to_ccxt_conflated")
    if ratio is not None:
        yield f"native / ccxt_conflated, CPU per frame received: {ratio:.3g}"


def _paced(summarised: Mapping[str, Any]) -> Iterator[str]:
    titles = {
        "native": ("latency, 20,000 msg/s", "native_latency_cpu_share"),
        "peak": ("peak, 91 markets, 10,400 msg/s", "peak_cpu_share"),
    }
    for prefix, (title, share) in titles.items():
        if share not in summarised:
            continue
        yield f"{title}: {summarised[share]:.0%} of a core"
        for kind in ("receipt_to_callback", "sent_to_callback"):
            values = [
                f"{quantile} {summarised[f'{prefix}_{quantile}_{kind}_us']:,.0f}"
                for quantile in ("p50", "p99", "max")
            ]
            yield f"  {kind + ' us':24}{'   '.join(values)}"
