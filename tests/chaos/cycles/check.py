"""Whether the tapes tell the venue's truth, and the journal what really happened."""

from collections.abc import Sequence

from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.truth.findings import Finding, Findings, Kind
from backpack_sandbox.truth.market_truth import MarketTruth
from backpack_sandbox.truth.resume import reading_truth
from backpack_sandbox.truth.trade_checker import TradeChecker
from feed_migration.phases import MigrationState, Status
from tests.chaos.cycles.stage import SYMBOLS, Stage, written_variants
from tests.chaos.tape import taped_last_ids, taped_trades
from tests.support.conditions import eventually_sync

CATCH_UP_SECONDS = 60.0


def check_fleet(stage: Stage, state: MigrationState) -> None:
    """Each instance runs, and would start again as, what the journal says; nothing is half done."""
    want = {name: "native" if name in state.exposed else "ccxt" for name in stage.names}
    assert written_variants(stage) == want
    # one that was killed a moment ago is on its way
    eventually_sync(
        lambda: stage.variants() == want, CATCH_UP_SECONDS, lambda: (want, stage.variants())
    )
    assert state.pending_act is None
    assert state.status is not Status.ROLLING_BACK


def check_exposed(state: MigrationState, names: Sequence[str], percent: int) -> None:
    """The step exposes its share, reckoned here: one that moves nobody would be as peaceful."""
    want = tuple(names[: -(-len(names) * percent // 100)])
    assert state.exposed == want, (percent, state.exposed, want)


def listening(stage: Stage) -> None:
    """Wait until every tape has its first trade: from there on all are compared."""
    eventually_sync(
        lambda: all(taped_last_ids(stage.tape_folder(name)) for name in stage.names),
        CATCH_UP_SECONDS,
        lambda: "a feed tapes nothing",
    )


def check_rolled_back(stage: Stage, migration_id: str) -> None:
    """A verified rollback leaves no exposure, in the journal or in the fleet."""
    state = stage.hands.journal.state(migration_id)
    assert (state.status, state.exposed) == (Status.ROLLED_BACK, ())
    check_fleet(stage, state)


def check_audit(stage: Stage) -> None:
    """The chain, the signed heads and the anchors are whole."""
    found = stage.hands.journal.verify()
    assert found.ok, found


def check_epochs(stage: Stage) -> None:
    """Of what took the fleet over, each came with a higher epoch than the one before."""
    epochs = [
        event.body["epoch"]
        for event in stage.hands.journal.events()
        if event.kind in {"migration_started", "rollback_started"}
    ]
    assert epochs == sorted(epochs), epochs
    assert stage.hands.fleet.epoch() >= max(epochs, default=0)


def caught_up(stage: Stage) -> None:
    """Stop the market, and wait until every tape has its last trade."""
    stage.venue.ask("DELETE", "/faults")
    stage.venue.ask("POST", "/market/pause")
    newest = stage.venue.last_trade_ids()

    def last_ids() -> dict[str, dict[str, int]]:
        return {name: taped_last_ids(stage.tape_folder(name)) for name in stage.names}

    eventually_sync(
        lambda: all(
            last == {symbol: newest[symbol]} for last in last_ids().values() for symbol in last
        ),
        CATCH_UP_SECONDS,
        lambda: (newest, last_ids()),
    )


def check_tapes(stage: Stage) -> Findings:
    """Every trade from the first one of each tape on: there once, in order, unaltered."""
    findings = Findings()
    catalog = build_catalog()
    with reading_truth(stage.venue.ledger_file, catalog) as ledger:
        for name in stage.names:
            taped = taped_trades(stage.tape_folder(name))
            if not taped:
                findings.add(Finding(Kind.MISSING, name, "", None, "no trade at all"))
            for symbol in SYMBOLS:
                truth = MarketTruth(catalog[symbol.replace("-", "_")], ledger)
                checker = TradeChecker(name, truth, findings)
                for row in taped.get(symbol, ()):
                    checker.take(name, row)
                checker.end(complete=True)
    return findings


def native_trades(stage: Stage) -> int:
    """How many of all taped trades came from a native feed: it alone knows the venue's own time."""
    taped = (
        rows for name in stage.names for rows in taped_trades(stage.tape_folder(name)).values()
    )
    return sum(row.time_us is not None for rows in taped for row in rows)
