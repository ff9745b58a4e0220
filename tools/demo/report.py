"""The demo's own reports: report.json for machines, report.md for people."""

import json
from dataclasses import asdict

from feed_migration.journal.store import Journal
from feed_migration.markdown import cell, table
from feed_migration.report.pages import migration_report
from feed_migration.report.parity import read_parity
from tools.demo.outcome import Outcome
from tools.demo.stack import Stack
from tools.demo.trades import TradeAccount, TradeKey

LISTED_TRADES = 20


def write_reports(
    stack: Stack, journal: Journal, migration_id: str, outcome: Outcome, trades: TradeAccount
) -> None:
    """Write report.json and report.md into the state directory."""
    home = stack.layout.home
    (home / "report.json").write_text(json.dumps(asdict(outcome), indent=2) + "\n")
    instances = {status.id: status.variant for status in stack.fleet.instances()}
    events, parity = journal.events(migration_id), read_parity(home / "parity")
    text = migration_report(events, instances, journal.verify(), parity)
    (home / "report.md").write_text("\n\n".join([text.rstrip(), *_demo(stack, outcome, trades)]))


def _demo(stack: Stack, outcome: Outcome, trades: TradeAccount) -> list[str]:
    rows = [(name.replace("_", " "), str(value)) for name, value in asdict(outcome).items()]
    verdict = "as expected" if outcome.as_expected else "; ".join(outcome.surprises)
    return [
        "# Demo",
        f"What happened is {cell(verdict)}.",
        table(("what", "value"), rows),
        "## Trades: the venue's ledger against the tapes",
        _trades(trades),
        "## Start-up, seconds each part was waited for",
        table(("part", "seconds"), [(k, str(v)) for k, v in stack.started_seconds.items()]) + "\n",
    ]


def _trades(trades: TradeAccount) -> str:
    if trades.exact:
        return f"All {trades.published} published trades are on the tapes once, unaltered."
    kinds = {
        "missing": trades.missing,
        "duplicated": trades.duplicated,
        "altered": trades.altered,
        "not published": trades.invented,
    }
    return "\n".join(f"- {kind}: {_listed(keys)}" for kind, keys in kinds.items() if keys)


def _listed(keys: tuple[TradeKey, ...]) -> str:
    shown = ", ".join(f"{symbol} {trade_id}" for symbol, trade_id in keys[:LISTED_TRADES])
    rest = len(keys) - LISTED_TRADES
    return f"{len(keys)}: {shown}" + (f" and {rest} more" if rest > 0 else "")
