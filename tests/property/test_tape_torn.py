"""A tape cut at any byte."""

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_feed.process.tape_file import TapeFile

SYMBOLS = ["A", "kPEPE-USDC-PERP", 'odd"name']


@settings(max_examples=60, deadline=None)
@given(
    symbols=st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=20),
    cut=st.integers(min_value=0, max_value=2_000),
)
def test_a_tape_cut_at_any_byte_keeps_exactly_its_whole_lines(symbols, cut):
    """After reopening there is no torn line, and the checkpoint is the last whole line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trades.jsonl"
        file = TapeFile(path)
        for number, symbol in enumerate(symbols, start=1):
            file.append({"symbol": symbol, "id": str(number), "price": "1.0"})
        file.close()
        data = path.read_bytes()
        torn = data[: min(cut, len(data))]
        path.write_bytes(torn)

        again = TapeFile(path)
        whole = torn[: torn.rfind(b"\n") + 1]
        assert path.read_bytes() == whole
        kept = [json.loads(line) for line in whole.splitlines()]
        assert again.last_ids(SYMBOLS) == {line["symbol"]: int(line["id"]) for line in kept}
        again.append({"symbol": "A", "id": "99"})
        assert path.read_bytes().startswith(whole)
        assert json.loads(path.read_bytes().splitlines()[-1])["id"] == "99"
        again.close()
