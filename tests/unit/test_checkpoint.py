"""The checkpoint beside sinks that cannot be read back."""

from decimal import Decimal

import pytest
from cryptofeed.types import Trade

from backpack_feed.process.checkpoint import Checkpoint, least_taken
from backpack_feed.refusal import SinkError

D = Decimal


def trade(trade_id, symbol="A"):
    return Trade("BACKPACK", symbol, "buy", D(1), D(1), 1.0, id=trade_id)


async def test_only_what_every_sink_has_taken_is_stored(tmp_path):
    """The slowest sink decides, so a kill repeats trades but never loses one."""
    counts = {"fast": 3, "slow": 1}
    checkpoint = Checkpoint(tmp_path, least_taken([lambda: counts["fast"], lambda: counts["slow"]]))
    for trade_id, symbol in (("10", "A"), ("70", "B/C"), ("11", "A")):
        await checkpoint.trade(trade(trade_id, symbol), 0.0)
    checkpoint.flush()
    assert checkpoint.last_ids(["A", "B/C"]) == {"A": 10}
    counts["slow"] = 3
    checkpoint.flush()
    again = Checkpoint(tmp_path, lambda: 0)
    assert again.last_ids(["A", "B/C", "D"]) == {"A": 11, "B/C": 70}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.trade_id", "B%2FC.trade_id"]


async def test_trades_without_an_id_count_but_are_not_stored(tmp_path):
    """They take their turn in the queue of the sinks."""
    checkpoint = Checkpoint(tmp_path, lambda: 2)
    await checkpoint.trade(trade(None), 0.0)
    await checkpoint.trade(trade("0"), 0.0)
    checkpoint.flush()
    assert checkpoint.last_ids(["A"]) == {}


def test_a_damaged_checkpoint_is_an_error_with_the_remedy(tmp_path):
    """Starting over silently would be a hole."""
    (tmp_path / "A.trade_id").write_text("garbage")
    with pytest.raises(SinkError, match=r"A.trade_id: holds no trade id: .*or remove the file"):
        Checkpoint(tmp_path, lambda: 0).last_ids(["A"])


async def test_an_unwritable_folder_is_an_error_with_the_place(tmp_path):
    """The process must stop rather than go on without a checkpoint."""
    (tmp_path / "file").write_text("")
    checkpoint = Checkpoint(tmp_path / "file", lambda: 9)
    await checkpoint.trade(trade("5"), 0.0)
    with pytest.raises(SinkError, match=r"file/A.trade_id: "):
        checkpoint.flush()
