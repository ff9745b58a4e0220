"""`backpack-feed replay` and `sign` take every recorded file, and notice a changed expectation."""

import json
import logging
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from backpack_feed.cli import main
from tests.support.backpack_fixtures import DIRECTORY, load_fixture

FILES = sorted(path.name for path in DIRECTORY.glob("*.json"))


@pytest.mark.parametrize("name", FILES)
def test_every_recorded_file_meets_its_expectations(name, capsys):
    """Recognised by content, replayed by the real code, exit 0."""
    assert main(["replay", str(DIRECTORY / name)]) == 0
    shown = capsys.readouterr()
    assert "no mismatches" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("name", [name for name in FILES if name != "nasty.json"])
def test_json_is_one_object_per_line(name, capsys):
    """For machines."""
    assert main(["replay", "--json", str(DIRECTORY / name)]) == 0
    first = capsys.readouterr().out
    assert all(isinstance(json.loads(line), dict) for line in first.splitlines())


def test_a_replay_is_the_same_every_time(capsys):
    """Time is virtual and jitter is seeded."""
    shown = []
    for _ in range(2):
        main(["replay", "--json", str(DIRECTORY / "ws_control.json")])
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


def test_the_content_decides_and_not_the_name(tmp_path, capsys):
    """A renamed file is recognised all the same."""
    path = tmp_path / "whatever.txt"
    shutil.copy(DIRECTORY / "depth_sync.json", path)
    assert main(["replay", str(path)]) == 0
    assert "snapshot_applied_replayed_1" in capsys.readouterr().out


def _scenario(content: Any, name: str) -> Any:
    return next(s for s in content["scenarios"] if s["name"] == name)


def _alter_action(content: Any) -> None:
    _scenario(content, "gap_mid_stream")["events"][2]["action"] = "apply"


def _alter_validity(content: Any) -> None:
    _scenario(content, "gap_mid_stream")["events"][3]["book_valid_after"] = True


def _alter_id(content: Any) -> None:
    _scenario(content, "happy_realtime")["events"][4]["last_update_id_after"] = 7


def _alter_level(content: Any) -> None:
    _scenario(content, "string_ids")["final"]["asks_best_first"][0][1] = "77"


def _drop_level(content: Any) -> None:
    _scenario(content, "string_ids")["final"]["bids_best_first"].pop()


def _frame(content: Any, name: str) -> Any:
    """Leave only the named frame in the file."""
    content["frames"] = [f for f in content["frames"] if f["name"] == name]
    return content["frames"][0]


def _alter_price(content: Any) -> None:
    _frame(content, "trade_taker_buy")["expect"]["price"] = "1"


def _alter_type(content: Any) -> None:
    _frame(content, "bookTicker")["expect"]["type"] = "l2"


def _add_expectation(content: Any) -> None:
    _frame(content, "kline_no_trades")["expect"] = {"open": "1"}


def _alter_fee(content: Any) -> None:
    _frame(content, "order_fill_partial")["expect"]["fill"]["fee"] = "0.5"


def _alter_signature(content: Any) -> None:
    content["vectors"][3]["signature_b64"] = content["vectors"][4]["signature_b64"]


def _alter_signing_string(content: Any) -> None:
    content["vectors"][3]["signing_string"] += "0"


def _alter_negative(content: Any) -> None:
    content["negative"][0]["must_verify"] = True


def _alter_public_key(content: Any) -> None:
    keys = list(content["keys"].values())
    keys[0]["verifying_key_b64_api_key"] = keys[1]["verifying_key_b64_api_key"]


def _alter_captured(content: Any) -> None:
    content["captured_from_ccxt_on_loopback"][0]["signature_b64"] = "AAAA"


def _alter_divergence(content: Any) -> None:
    content["divergences"][0]["raw_string"] = content["divergences"][0]["ccxt_string"]


def _alter_status(content: Any) -> None:
    next(e for e in content["exchanges"] if e["name"] == "depth")["json"] = {"bids": 1}


def _alter_reply(content: Any) -> None:
    case = next(c for c in content["cases"] if c["name"] == "bad_depth_window")
    case["server_replies"][0]["error"]["code"] = 4001


def _alter_socket(content: Any) -> None:
    content["cases"][0]["socket_stays_open"] = False


def _rename_key(content: Any) -> None:
    fields = content["streams"]["trade"]["fields"]
    next(f for f in fields if f["key"] == "p")["key"] = "price"


def _alter_json_type(content: Any) -> None:
    fields = content["streams"]["depth"]["fields"]
    next(f for f in fields if f["key"] == "U")["json_type"] = "bool"


def _make_optional(content: Any) -> None:
    fields = content["streams"]["kline"]["fields"]
    next(f for f in fields if f["key"] == "v")["optional"] = True


ALTERED: list[tuple[str, Callable[[Any], None], tuple[str, ...]]] = [
    ("depth_sync", _alter_action, ("gap_mid_stream event 2 (ws)", "action")),
    ("depth_sync", _alter_validity, ("gap_mid_stream event 3 (ws)", "book_valid_after")),
    ("depth_sync", _alter_id, ("happy_realtime event 4 (ws)", "last_update_id_after")),
    ("depth_sync", _alter_level, ("string_ids final", "asks_best_first[0][1]", "77")),
    ("depth_sync", _drop_level, ("string_ids final", "bids_best_first[2]")),
    ("ws_public_frames", _alter_price, ("frame trade_taker_buy", "price", "86650.3")),
    ("ws_public_frames", _alter_type, ("frame bookTicker", "type", "l2")),
    ("ws_public_frames", _add_expectation, ("frame kline_no_trades", "open", "absent")),
    ("ws_private_frames", _alter_fee, ("frame order_fill_partial", "fill.fee", "0.000504")),
    ("signing_vectors", _alter_signature, ("vector order_query_get", "signature_b64")),
    ("signing_vectors", _alter_signing_string, ("vector order_query_get", "signing_string")),
    ("signing_vectors", _alter_negative, ("negative unsorted", "must_verify")),
    ("signing_vectors", _alter_public_key, ("key rfc8032_test1", "verifying_key_b64_api_key")),
    ("signing_vectors", _alter_captured, ("captured ccxt.pro watch_orders", "signature_b64")),
    ("signing_vectors", _alter_divergence, ("values_with_reserved_characters", "raw_string")),
    ("rest", _alter_status, ("exchange depth", "class of the outcome", "unreadable")),
    ("ws_control", _alter_reply, ("case bad_depth_window", "replies[0].code", "4008")),
    ("ws_control", _alter_socket, ("case subscribe_ok", "socket_stays_open")),
    ("field_types", _rename_key, ("stream trade", "key p", "absent")),
    ("field_types", _alter_json_type, ("stream depth", "type of U", "bool")),
    ("field_types", _make_optional, ("stream kline", "optional of v")),
]


@pytest.mark.parametrize(
    ("name", "alter", "words"), ALTERED, ids=lambda v: getattr(v, "__name__", "")
)
def test_an_altered_expectation_is_named(tmp_path, capsys, name, alter, words):
    """Exit 1, and a line with the scenario, the field and what came instead."""
    content = json.loads(json.dumps(load_fixture(name)))
    alter(content)
    path = tmp_path / "altered.json"
    path.write_text(json.dumps(content))
    assert main(["replay", str(path)]) == 1
    marked = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ✗ ")]
    assert any(all(word in line for word in words) for line in marked), marked
    assert main(["replay", "--json", str(path)]) == 1
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(len(record.get("mismatches", ())) for record in records) == len(marked)


BAD_FILES = [
    ("", "is not JSON"),
    ("{", "is not JSON"),
    ("[" * 100_000, "is not JSON"),
    ("{}", "none of the known formats"),
    ("17", "none of the known formats"),
    ('{"scenarios": [{"name": 1, "events": []}]}', "$.scenarios[0].name"),
    ('{"scenarios": [{"name": "a", "events": [{"event": "quake"}]}]}', "a event 0 (quake)"),
    ('{"scenarios": [{"name": "a", "events": [{"event": "ws"}]}]}', "a event 0 (ws)"),
    ('{"frames": [{"stream": "trade.X"}]}', "$.frames[0]"),
    ('{"cases": [{"name": "a", "input": [{}]}]}', "$.cases[0].input[0]"),
    ('{"cases": [{"name": "a", "input": [{"transport": "ws_binary", "hex": "zz"}]}]}', "a: 'zz'"),
    ('{"exchanges": [{"name": "a", "request": {}}]}', "$.exchanges[0].request"),
]


@pytest.mark.parametrize(("content", "words"), BAD_FILES)
def test_an_unreadable_file_is_refused_in_one_line(tmp_path, capsys, content, words):
    """Exit 2 with the file, the place and the remedy."""
    path = tmp_path / "bad.json"
    path.write_text(content)
    assert main(["replay", str(path)]) == 2
    refusal = capsys.readouterr().err
    assert words in refusal
    assert "bad.json" in refusal
    assert refusal.count("\n") == 1
    assert "Traceback" not in refusal


def test_a_missing_file_is_refused(tmp_path, capsys):
    """Exit 2, naming the path."""
    for command in ("replay", "sign"):
        assert main([command, str(tmp_path / "missing.json")]) == 2
        assert "missing.json: cannot be read" in capsys.readouterr().err


def test_the_log_of_the_process_is_left_as_it_was(capsys):
    """A replay silences the feed's log only while it runs."""
    log = logging.getLogger("backpack_feed")
    before = (log.level, log.propagate, list(log.handlers))
    main(["replay", str(DIRECTORY / "ws_control.json")])
    assert (log.level, log.propagate, list(log.handlers)) == before
    assert capsys.readouterr().err == ""


def test_a_recording_of_raw_frames_is_replayed(tmp_path, capsys):
    """One frame per line, bare or with its receipt; poison is counted and the rest is delivered."""
    frames = [f["raw"] for f in load_fixture("ws_public_frames")["frames"]]
    trade = next(raw for raw in frames if '"t":99500123' in raw)
    again = trade.replace("99500123", "99500124")
    lines = [json.dumps({"receipt": 1.5, "raw": trade}), trade, '{"data":', again, *frames]
    path = tmp_path / "recording.jsonl"
    path.write_text("\n".join(lines))
    assert main(["replay", "--json", str(path)]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    ids = [r["id"] for r in records if r.get("channel") == "trades" and "BTC" in r["symbol"]]
    assert ids == ["99500123", "99500124"]
    summary = records[-1]["summary"]
    assert summary["frames"] == len(lines)
    assert summary["counters"]["decode_errors"] == 1
    assert summary["counters"]["trade_duplicates"] >= 1
    changes = [r for r in records if r.get("channel") == "l2_book" and r["delta"]]
    assert {r["sequence_number"] for r in changes} >= {4400000995, 4400000996}
