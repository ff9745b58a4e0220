"""The evidence of the shadow phase: written by each process, read for the report."""

import json
import re
from decimal import Decimal

import pytest

from backpack_feed.process.parity import CCXT, NATIVE, Parity, SeenTrade
from backpack_feed.process.parity.samples import FIRST, LAST, Samples
from backpack_feed.process.parity.samples_file import SamplesFile
from feed_migration.report.parity import MAX_BYTES, parity_section, read_parity


@pytest.fixture
def disputed():
    """Parity that has settled one altered trade to native's disadvantage."""
    parity = Parity(clock=lambda: 1_790_900_000.0)
    right = SeenTrade("buy", Decimal("98.40"), Decimal(1))
    wrong = SeenTrade("buy", Decimal("98.50"), Decimal(1))
    parity.trade(CCXT, "SOL-USDC", 7, right)
    parity.trade(NATIVE, "SOL-USDC", 7, wrong)
    (dispute,) = parity.trade_disputes.values()
    parity.settle_trade(dispute, (("altered", NATIVE),), right)
    return parity


def test_what_a_process_writes_is_what_the_report_shows(disputed, tmp_path):
    """Counts, who is to blame for what, and what each side said."""
    file = tmp_path / "parity" / "shadow-00.json"
    SamplesFile(file, "shadow-00").write(disputed.summary(), 1_790_900_005.0)
    section = parity_section(read_parity(file.parent))
    assert re.search(r"\| shadow-00 \| [0-9: -]+UTC \| 1 \| 0 \| 0 \| 0 \| 0 \|", section)
    assert "| native | altered | 1 |" in section
    assert (
        "| native | altered | SOL-USDC | 7 | buy 98.50 1 | buy 98.40 1 | buy 98.40 1 |" in section
    )
    assert [path.name for path in file.parent.iterdir()] == ["shadow-00.json"]


def test_a_file_that_cannot_be_written_stops_nothing(disputed, tmp_path, caplog):
    """It is said once, until it works again."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    file = SamplesFile(blocked / "shadow-00.json", "shadow-00")
    for _ in range(3):
        file.write(disputed.summary(), 0.0)
    assert len([r for r in caplog.records if "cannot be written" in r.message]) == 1


def test_a_file_that_means_nothing_is_named_in_the_report(tmp_path):
    """A report is written whatever a shadow left behind, and foreign text stays in its cell."""
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("[]")
    (tmp_path / "c.json").write_text(" " * (MAX_BYTES + 1))
    (tmp_path / "d.json").write_text('{"compared": 5, "samples": [3, {"kind": "a|b\\n# c"}]}')
    section = parity_section(read_parity(tmp_path))
    for problem in ("cannot be read", "is no mapping", "larger than"):
        assert problem in section
    assert "\n# c" not in section
    assert "a\\|b # c" in section


def test_no_evidence_is_said():
    """Also where the folder never was."""
    assert parity_section([]) == "No shadow process left evidence."


def test_samples_keep_the_first_and_the_last_of_each_sort():
    """The beginning explains, the end is what is there now."""
    samples = Samples()
    for number in range(1_000):
        samples.keep(("missing", "native"), float(number), {"id": number})
        samples.keep(("book", "ccxt"), float(number), {"id": -number})
    assert len(samples) == 2 * (FIRST + LAST)
    kept = [s["id"] for s in samples.all() if s["kind"] == "missing"]
    assert kept == [*range(FIRST), *range(1_000 - LAST, 1_000)]
    assert len(json.dumps(samples.all())) < 10_000
