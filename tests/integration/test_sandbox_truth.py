"""The truth endpoints, and `backpack-sandbox truth check`: complete, bounded, and clear."""

import asyncio
import io
import json
import os

import pytest

from backpack_sandbox.cli import main
from tests.support.sandbox_client import rest_client, running_venue, wire_client

SYMBOL = "SOL_USDC"


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path / "venue", trades_per_second=3.0) as running:
        running.advance(30)
        yield running


async def ask(venue, what, **query):
    async with (
        rest_client(venue) as http,
        http.get(f"/sandbox/truth/{what}", params=query) as answer,
    ):
        return answer.status, answer.headers, await answer.read()


def ledger_frames(venue, stream):
    """What the ledger has of a stream, with private lines as they are."""
    lines = venue.config.ledger_file.read_bytes().splitlines()
    return [line for line in lines if line.endswith(f'"stream":"{stream}"}}'.encode())]


@pytest.mark.parametrize("kind", ["depth", "trade", "bookTicker"])
async def test_frames_of_a_stream_come_page_by_page_byte_for_byte(venue, kind):
    """From an id on; each page says where the next one begins."""
    stream = f"{kind}.{SYMBOL}"
    published = ledger_frames(venue, stream)
    key = "t" if kind == "trade" else "u"
    start = len(published) // 3
    from_id = json.loads(published[start])["data"][key]
    got, query = [], {"stream": stream, "from_id": from_id, "limit": 7}
    while True:
        status, headers, body = await ask(venue, "frames", **query)
        assert status == 200
        got += body.splitlines()
        if "X-Truncated" not in headers:
            break
        query["place"] = headers["X-Next-Place"]
    assert got == published[start:]


async def test_private_frames_are_told_with_their_account(venue):
    """As the ledger has them."""
    _, _, body = await ask(venue, "frames", stream="account.orderUpdate", limit=5)
    lines = body.splitlines()
    assert lines == ledger_frames(venue, "account.orderUpdate")[:5]
    assert {json.loads(line)["account"] for line in lines} == {"house"}


async def test_deltas_over_a_true_book_give_the_next_true_books(venue):
    """Any range of ids."""
    _, newest = venue.books.span(SYMBOL)
    first = newest - 40
    _, _, body = await ask(venue, "book", symbol=SYMBOL, id=first)
    book = {side: dict(json.loads(body)[side]) for side in ("bids", "asks")}
    _, _, body = await ask(venue, "deltas", symbol=SYMBOL, from_id=first + 1, to_id=newest)
    changes = json.loads(body)
    assert [change["id"] for change in changes] == list(range(first + 1, newest + 1))
    for change in changes:
        for side, levels in book.items():
            levels.update(change[side])
            for price in [p for p, q in levels.items() if not float(q)]:
                del levels[price]
        _, _, body = await ask(venue, "book", symbol=SYMBOL, id=change["id"])
        assert {side: dict(json.loads(body)[side]) for side in book} == book


async def test_an_account_is_told_as_the_venue_sees_it(venue):
    """Balances, positions and open orders of the engines."""
    _, _, body = await ask(venue, "account", account="house")
    told = json.loads(body)
    portfolio = venue.accounts["house"]
    assert told["balances"].keys() == {balance.asset for balance in portfolio.balances()}
    assert len(told["positions"]) == len(list(portfolio.positions())) > 0
    open_orders = sum(len(e.open_orders("house")) for e in venue.exchange.engines.values())
    assert len(told["open_orders"]) == open_orders > 0


async def test_a_page_has_at_most_its_limit_and_says_when_there_is_more(venue):
    """Nobody can ask for an answer without end."""
    status, headers, body = await ask(venue, "trades", symbol=SYMBOL, limit=3)
    assert (status, len(json.loads(body)), headers["X-Truncated"]) == (200, 3, "true")
    _, newest = venue.books.span(SYMBOL)
    status, headers, body = await ask(venue, "deltas", symbol=SYMBOL, from_id=newest - 1, limit=2)
    assert (status, len(json.loads(body))) == (200, 2)
    assert "X-Truncated" not in headers


@pytest.mark.parametrize(
    ("what", "query", "says"),
    [
        ("trades", {"symbol": "NOPE"}, "unknown symbol NOPE: see /api/v1/markets"),
        ("trades", {"from_id": "x"}, "from_id was 'x': must be a whole number"),
        ("trades", {"from_id": "9" * 30}, "must be a whole number"),
        ("trades", {"limit": "0"}, "limit was 0: must be from 1 to 100000"),
        ("trades", {"limit": "100001"}, "must be from 1 to 100000"),
        ("trades", {"form_id": "1"}, "unknown parameter form_id: may be symbol, from_id, limit"),
        ("last_ids", {"symbol": "x"}, "unknown parameter symbol: may be none"),
        ("book", {}, "symbol is missing: give a market"),
        ("book", {"symbol": SYMBOL, "id": "-1"}, "id was '-1': must be a whole number"),
        ("deltas", {"symbol": SYMBOL}, "from_id is missing"),
        ("deltas", {"symbol": SYMBOL, "from_id": "9", "to_id": "8"}, "must not be below from_id"),
        ("frames", {}, "stream is missing"),
        ("frames", {"stream": "depth.200ms.SOL_USDC"}, "the ledger has depth.<symbol>"),
        (
            "frames",
            {"stream": "liquidation", "place": "3"},
            "place was 3: must be what X-Next-Place said",
        ),
        ("frames", {"stream": "liquidation", "place": "9" * 15}, "must be what X-Next-Place said"),
        ("account", {"account": "nobody"}, "must be one of house, trader"),
        ("account", {}, "account is missing: must be one of house, trader"),
    ],
)
async def test_a_bad_parameter_is_one_sentence(venue, what, query, says):
    """400, and JSON."""
    status, _, body = await ask(venue, what, **query)
    assert status == 400
    assert says in json.loads(body)["error"]


async def recorded(venue):
    """A tape as received: a REST book, then every frame of the socket."""
    async with rest_client(venue) as http, wire_client(venue) as client:
        await client.subscribe(f"depth.{SYMBOL}", f"depth.200ms.{SYMBOL}", f"trade.{SYMBOL}")
        await client.subscribe(f"bookTicker.{SYMBOL}")
        await client.drain()
        async with http.get("/api/v1/depth", params={"symbol": SYMBOL}) as answer:
            body = await answer.json()
        venue.advance(20)
        frames = await client.drain()
    return [json.dumps({"symbol": SYMBOL, "depth": body}), *frames]


async def upload(venue, lines, **query):
    body = io.BytesIO("\n".join(lines).encode())
    async with (
        rest_client(venue) as http,
        http.post("/sandbox/truth/check", data=body, params=query) as answer,
    ):
        return answer.status, await answer.json()


async def test_a_recorded_tape_is_right_and_a_tampered_one_is_not(venue):
    """The check runs in the venue while the tape is uploaded."""
    tape = await recorded(venue)
    status, told = await upload(venue, tape)
    assert status == 200
    assert told["right"], told["findings"]
    assert told["compared"]["books"] > 50
    lost = next(number for number, line in enumerate(tape) if number > 9 and '"depth.SOL' in line)
    _, told = await upload(venue, tape[:lost] + tape[lost + 1 :])
    assert told["counts"]["missing"] == 1
    assert told["findings"][0]["id"] == json.loads(tape[lost])["data"]["u"]


async def test_a_line_without_end_is_refused(venue):
    """It would have to be held as a whole."""
    status, told = await upload(venue, ["x" * 5_000_000])
    assert status == 400
    assert "a line of the tape has more than" in told["error"]


@pytest.mark.parametrize("where", ["venue", "ledger"])
async def test_the_command_checks_tapes_against_a_venue_or_its_ledger(
    venue, tmp_path, capsys, where
):
    """0 when right, 1 when wrong, and the findings as a table or as JSON."""
    lines = await recorded(venue)
    tape, wrong = tmp_path / "tape.jsonl", tmp_path / "wrong.jsonl"
    tape.write_text("\n".join(lines) + "\n")
    wrong.write_text("\n".join([*lines, lines[-1]]) + "\n")
    truth = ["--ledger", str(venue.config.ledger_file)]
    if where == "venue":
        truth = ["--url", venue.rest_url, "--ca", str(venue.ca_file)]
    assert await asyncio.to_thread(main, ["truth", "check", str(tape), *truth]) == 0
    assert f"{tape}: right; compared" in capsys.readouterr().out
    arguments = ["truth", "check", str(tape), str(wrong), *truth]
    assert await asyncio.to_thread(main, arguments) == 1
    said = capsys.readouterr().out
    assert f"{wrong}: WRONG" in said
    assert f"  wrong.jsonl:{len(lines) + 1}: repeated: {SYMBOL}" in said
    assert await asyncio.to_thread(main, [*arguments, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told[str(tape)]["right"], told[str(wrong)]["right"]) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["TAPE"], "say where the truth is: give --url and --ca, or --ledger"),
        (["TAPE", "--url", "https://127.0.0.1:9"], "truth check: --ca is missing"),
        (["TAPE", "--ca", "ca.pem"], "truth check: --url is missing"),
        (["TAPE", "--ledger", "LEDGER", "--url", "https://127.0.0.1:9"], "not both"),
        (["TAPE", "--ledger", "nowhere"], "nowhere: no such ledger"),
        (
            ["TAPE", "--ledger", "TAPE"],
            "tape.jsonl:1: not a line of a ledger; give the ledger.jsonl of a venue\n",
        ),
        (["TAPE", "--ledger", "EMPTY"], "empty: not a line of a ledger in it; give the ledger"),
        (["nothing.jsonl", "--ledger", "LEDGER"], "nothing.jsonl: no such file"),
    ],
)
async def test_a_check_that_cannot_be_is_exit_2(venue, tmp_path, capsys, arguments, says):
    """One line with the remedy."""
    (tmp_path / "tape.jsonl").write_text("{}\n")
    (tmp_path / "empty").touch()
    places = {
        "EMPTY": str(tmp_path / "empty"),
        "TAPE": str(tmp_path / "tape.jsonl"),
        "LEDGER": str(venue.config.ledger_file),
    }
    assert main(["truth", "check", *(places.get(a, a) for a in arguments)]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("where", ["venue", "ledger"])
@pytest.mark.parametrize(
    "tape_and_ignored",
    [("", "0 lines"), ('{"channel":"funding"}\n', "1 line"), ('{"error":1}\n' * 2, "2 lines")],
)
async def test_a_tape_with_nothing_to_compare_is_not_right(
    venue, tmp_path, capsys, where, tape_and_ignored
):
    """Exit 2, and the table says why."""
    content, ignored = tape_and_ignored
    tape = tmp_path / "tape.jsonl"
    tape.write_text(content)
    truth = ["--ledger", str(venue.config.ledger_file)]
    if where == "venue":
        truth = ["--url", venue.rest_url, "--ca", str(venue.ca_file)]
    assert await asyncio.to_thread(main, ["truth", "check", str(tape), *truth]) == 2
    said = capsys.readouterr().out
    assert f"{tape}: NOT COMPARED; compared 0 trades" in said
    reason = f"nothing on the tape to compare; {ignored} ignored"
    assert f"  tape.jsonl: nothing_compared: {reason}\n" in said


async def test_a_check_without_a_body_is_not_right(venue):
    """The endpoint says so as well."""
    status, told = await upload(venue, [])
    assert (status, told["right"], told["counts"]["nothing_compared"]) == (200, False, 1)


@pytest.mark.parametrize("where", ["venue", "ledger"])
async def test_a_tape_may_come_by_a_pipe(venue, tmp_path, capsys, monkeypatch, where):
    """The standard input, or what a shell puts in place of a file."""
    lines = await recorded(venue)
    tape = tmp_path / "tape.jsonl"
    tape.write_text("\n".join(lines) + "\n")
    truth = ["--ledger", str(venue.config.ledger_file)]
    if where == "venue":
        truth = ["--url", venue.rest_url, "--ca", str(venue.ca_file)]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check = asyncio.create_task(asyncio.to_thread(main, ["truth", "check", str(pipe), *truth]))
    await asyncio.to_thread(pipe.write_bytes, tape.read_bytes())
    assert await check == 0
    with tape.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert await asyncio.to_thread(main, ["truth", "check", "-", *truth]) == 0
    assert "-: right; compared" in capsys.readouterr().out
