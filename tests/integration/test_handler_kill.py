"""Ends in mid-flow, hard and graceful, while the flag goes to and fro."""

import signal

from backpack_sandbox import Sandbox, SandboxConfig
from tests.support.conditions import eventually
from tests.support.handler_process import (
    FeedProcess,
    published_trades,
    tape_lines,
    taped_trades,
    write_config,
)

SYMBOLS = ["SOL-USDC", "kPEPE-USDC-PERP"]
# native or not, and how it ends; with the native feed at the last, each way of ending switches in
# both directions
ROUNDS = [
    (True, signal.SIGKILL),
    (False, signal.SIGKILL),
    (True, signal.SIGTERM),
    (False, signal.SIGTERM),
]
EXIT_CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 0}
MORE_TRADES = 15


async def more_trades(folder, feed):
    """Wait until the running process has taped more trades of every symbol."""
    before = {symbol: len(rows) for symbol, rows in taped_trades(folder).items()}

    def enough():
        taped = taped_trades(folder)
        return all(len(taped.get(s, ())) >= before.get(s, 0) + MORE_TRADES for s in SYMBOLS)

    await eventually(enough, 15, lambda: feed.log)


async def test_no_trade_is_lost_or_repeated_across_ends_and_flag_flips(tmp_path):
    """From the first taped id on, the tape is the venue's ledger: same trades, same order, once."""
    config = SandboxConfig(state_dir=tmp_path / "venue", trades_per_second=8)
    async with Sandbox(config) as venue:
        path = write_config(tmp_path, venue, SYMBOLS)
        for native, ending in ROUNDS:
            async with FeedProcess(path, native=native) as feed:
                await more_trades(tmp_path, feed)
                assert await feed.end(ending) == EXIT_CODES[ending]
        variants = {line["variant"] for line in tape_lines(tmp_path)}
        assert variants == {"ccxt", "native"}

        async with FeedProcess(path, native=True) as feed:
            assert (await feed.ready())["variant"] == "native"
            venue.driver.paused = True
            truth = published_trades(config.ledger_file)
            await eventually(
                lambda: all(taped_trades(tmp_path)[s][-1][0] == truth[s][-1][0] for s in SYMBOLS)
            )
            assert await feed.end(signal.SIGTERM) == 0

        taped = taped_trades(tmp_path)
        for symbol in SYMBOLS:
            start = taped[symbol][0][0]
            assert taped[symbol] == [row for row in truth[symbol] if row[0] >= start]
            assert len(taped[symbol]) > len(ROUNDS) * MORE_TRADES
