"""The tape: exactly once by construction."""

import json
from decimal import Decimal

import pytest
from cryptofeed.types import OrderBook, Trade

from backpack_feed.process import tape_file
from backpack_feed.process.tape import Tape
from backpack_feed.process.tape_file import TapeFile
from backpack_feed.refusal import SinkBusyError, SinkError

D = Decimal


def trade(trade_id, symbol="SOL-USDC"):
    return Trade("BACKPACK", symbol, "buy", D("1.00"), D("98.97"), 1790900001.025, id=str(trade_id))


@pytest.fixture
def open_tape(tmp_path):
    opened = []

    def open_one(**options):
        tape = Tape(tmp_path, instance_id="feed-00", variant="native", **options)
        opened.append(tape)
        return tape

    yield open_one
    for tape in opened:
        tape.close()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_trade_is_on_the_tape_when_the_callback_returns(open_tape, tmp_path):
    """The line holds the trade's exact decimals and its receipt time."""
    tape = open_tape()
    await tape.trade(trade(7), 1790900001.5)
    assert lines(tmp_path / "trades.jsonl") == [
        {
            "channel": "trades",
            "instance_id": "feed-00",
            "variant": "native",
            "symbol": "SOL-USDC",
            "id": "7",
            "side": "buy",
            "price": "98.97",
            "amount": "1.00",
            "timestamp": 1790900001.025,
            "receipt_timestamp": 1790900001.5,
        }
    ]


async def test_books_are_sampled_per_symbol(open_tape, tmp_path):
    """Within the interval only the first book of a symbol is written."""
    now = [0.0]
    tape = open_tape(book_interval_seconds=1.0, monotonic=lambda: now[0])
    for at, symbol in ((0.0, "A"), (0.5, "A"), (0.5, "B"), (1.0, "A")):
        now[0] = at
        book = OrderBook("BACKPACK", symbol, bids={D(1): D(2), D(3): D(4)}, asks={D("5.50"): D(6)})
        book.sequence_number = int(at * 10)
        await tape.book(book, at)
    written = lines(tmp_path / "books.jsonl")
    assert [(line["symbol"], line["sequence"]) for line in written] == [
        ("A", 0),
        ("B", 5),
        ("A", 10),
    ]
    assert written[0]["bids"] == [["3", "4"], ["1", "2"]]
    assert written[0]["asks"] == [["5.50", "6"]]


async def test_last_ids_survive_reopening(open_tape):
    """The last id of each symbol is read back; a symbol without trades has none."""
    tape = open_tape()
    for number, symbol in ((1, "A"), (5, "B"), (2, "A")):
        await tape.trade(trade(number, symbol), 0.0)
    tape.close()
    again = open_tape()
    assert again.last_ids(["A", "B", "C"]) == {"A": 2, "B": 5}


async def test_trades_without_an_id_are_no_checkpoint(open_tape):
    """Id 0 and null stand for no id."""
    tape = open_tape()
    await tape.trade(trade(3), 0.0)
    await tape.trade(trade(0), 0.0)
    await tape.trade(Trade("BACKPACK", "SOL-USDC", "buy", D(1), D(1), 1.0, id=None), 0.0)
    assert tape.last_ids(["SOL-USDC"]) == {"SOL-USDC": 3}


def test_last_ids_are_found_across_blocks_from_the_end(tmp_path, monkeypatch):
    """Blocks shorter than a line and symbols far from the end make no difference."""
    monkeypatch.setattr(tape_file, "BLOCK_BYTES", 64)
    file = TapeFile(tmp_path / "t.jsonl")
    file.append({"symbol": "RARE", "id": "1"})
    for number in range(2, 60):
        file.append({"symbol": "COMMON", "id": str(number), "filler": "x" * (number % 50)})
    assert file.last_ids(["RARE", "COMMON", "NEVER"]) == {"RARE": 1, "COMMON": 59}
    file.close()


def test_a_second_writer_is_refused(open_tape, tmp_path):
    """Two processes with one tape would break exactly-once."""
    open_tape()
    with pytest.raises(SinkBusyError, match="another process writes this tape"):
        TapeFile(tmp_path / "trades.jsonl")


def test_a_full_disk_is_an_error_and_leaves_no_torn_line(tmp_path, monkeypatch):
    """A short write is taken back before the error is raised."""
    path = tmp_path / "t.jsonl"
    file = TapeFile(path)
    file.append({"id": "1"})
    whole = path.read_bytes()
    write = tape_file.os.write
    monkeypatch.setattr(tape_file.os, "write", lambda fd, data: write(fd, data[:3]))
    with pytest.raises(SinkError, match="disk full"):
        file.append({"id": "2"})
    monkeypatch.undo()
    assert path.read_bytes() == whole
    file.close()


def test_an_unusable_folder_is_named(tmp_path):
    """The error names the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match=r"file/trades.jsonl: cannot be opened"):
        TapeFile(tmp_path / "file" / "trades.jsonl")
