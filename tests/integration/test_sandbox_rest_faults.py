"""Faults of the sandbox's REST, and the truth about books."""

import json
from random import Random

import pytest

from backpack_sandbox.cli import main
from tests.support.sandbox_client import rest_client, running_venue

VICTIM = "backpack-feed/1.0"
AIMED = {"user_agent": "backpack-feed*"}
SOL = {"symbol": "SOL_USDC"}


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path, trades_per_second=3.0) as venue:
        venue.advance(20)
        yield venue


async def get(venue, path: str, user_agent: str = VICTIM, **params):
    async with rest_client(venue, user_agent) as http, http.get(path, params=params) as answer:
        return answer.status, answer.headers, await answer.text()


@pytest.mark.parametrize(("fault", "status"), [("rest_503", 503), ("rest_429", 429)])
async def test_rest_is_refused_to_the_matching_clients(venue, fault, status):
    """Every public path; other clients and the venue's own control endpoints are spared."""
    venue.faults.add(fault, **AIMED)
    for path in ("/api/v1/markets", "/api/v1/depth", "/api/v1/time"):
        assert (await get(venue, path, **SOL))[0] == status
        assert (await get(venue, path, "ccxt", **SOL))[0] == 200
    assert (await get(venue, "/sandbox/faults"))[0] == 200
    venue.faults.clear()
    assert (await get(venue, "/api/v1/time"))[0] == 200


async def test_429_says_when_to_come_again_and_503_is_no_json(venue):
    """As an edge answers: HTML for an outage, JSON with Retry-After for the limit."""
    venue.faults.add("rest_503", **AIMED)
    _, headers, body = await get(venue, "/api/v1/time")
    assert headers["Content-Type"].startswith("text/html")
    assert body.startswith("<html>")
    venue.faults.clear()
    venue.faults.add("rest_429", **AIMED)
    _, headers, body = await get(venue, "/api/v1/time")
    assert headers["Retry-After"] == "1"
    assert json.loads(body)["code"] == "TOO_MANY_REQUESTS"


async def test_a_share_of_the_requests_is_refused(venue):
    """About that share."""
    venue.faults.add("rest_503", share=0.5, **AIMED)
    statuses = [(await get(venue, "/api/v1/time"))[0] for _ in range(40)]
    assert 8 < statuses.count(503) < 32
    assert statuses.count(200) == 40 - statuses.count(503)


async def test_old_depth_answers_the_book_from_before_the_fault(venue):
    """The same for every request, told by `Age`, while the market and other clients go on."""
    before = json.loads((await get(venue, "/api/v1/depth", **SOL))[2])
    venue.faults.add("old_depth", **AIMED)
    venue.advance(10)
    _, headers, body = await get(venue, "/api/v1/depth", **SOL)
    assert json.loads(body) == before
    assert int(headers["Age"]) >= 0
    now = json.loads((await get(venue, "/api/v1/depth", "ccxt", **SOL))[2])
    assert int(now["lastUpdateId"]) > int(before["lastUpdateId"])
    venue.faults.clear()
    assert json.loads((await get(venue, "/api/v1/depth", **SOL))[2]) == now


async def test_old_trades_answers_without_the_trades_since(venue):
    """Both trade endpoints; the book is not old."""
    paths = "/api/v1/trades", "/api/v1/trades/history"
    before = [(await get(venue, path, limit=20, **SOL))[2] for path in paths]
    venue.faults.add("old_trades", **AIMED)
    depth = (await get(venue, "/api/v1/depth", **SOL))[2]
    venue.advance(10)
    assert [(await get(venue, path, limit=20, **SOL))[2] for path in paths] == before
    later = json.loads((await get(venue, "/api/v1/trades/history", limit=9, offset=5, **SOL))[2])
    assert [row["id"] for row in later] == [row["id"] for row in json.loads(before[0])[5:14]]
    assert (await get(venue, "/api/v1/depth", **SOL))[2] != depth


async def true_book(venue, **params):
    status, _, body = await get(venue, "/sandbox/truth/book", **params)
    return status, json.loads(body)


async def test_the_true_book_is_the_published_one_at_every_id(venue):
    """REST's book at its id, and what the depth frames of the ledger add up to in between."""
    rest = json.loads((await get(venue, "/api/v1/depth", **SOL))[2])
    status, truth = await true_book(venue, id=rest["lastUpdateId"], **SOL)
    assert status == 200
    numbers = [
        [[float(p), float(q)] for p, q in book[side]]
        for book in (rest, truth)
        for side in ("bids", "asks")
    ]
    assert numbers[:2] == numbers[2:]
    assert (await true_book(venue, **SOL))[1] == truth

    venue.advance(60)
    lines = [json.loads(line) for line in venue.ledger.path.read_bytes().splitlines()]
    start = lines[0]["session"]["books"]["SOL_USDC"]
    sides = {"b": dict(start["bids"]), "a": dict(start["asks"])}
    changes = [x["data"] for x in lines if x.get("stream") == "depth.SOL_USDC"]
    wanted = set(Random(1).sample([change["u"] for change in changes], 20))
    for change in changes:
        for side, levels in sides.items():
            levels.update(change[side])
            sides[side] = {price: size for price, size in levels.items() if float(size)}
        if change["u"] in wanted:
            _, truth = await true_book(venue, id=change["u"], **SOL)
            assert (dict(truth["bids"]), dict(truth["asks"])) == (sides["b"], sides["a"])
            assert truth["bids"] == sorted(truth["bids"], key=lambda level: float(level[0]))


async def test_a_book_that_is_not_known_is_refused_with_the_reason(venue):
    """Too old, not yet, of no market, or no number."""
    newest = (await true_book(venue, **SOL))[1]["id"]
    for update_id in (1, newest + 1):
        status, body = await true_book(venue, id=update_id, **SOL)
        assert status == 404
        assert f"to {newest}" in body["error"]
    for params in ({"symbol": "HNT_USDC"}, {}, SOL | {"id": "x"}):
        assert (await true_book(venue, **params))[0] == 400


async def test_the_command_line_prints_the_true_book(venue, capsys):
    """`backpack-sandbox truth book --symbol SOL_USDC`."""
    import asyncio

    address = ["--url", venue.rest_url, "--ca", str(venue.ca_file)]
    arguments = ["truth", "book", *address, "--symbol", "SOL_USDC"]
    assert await asyncio.to_thread(main, arguments) == 0
    assert json.loads(capsys.readouterr().out) == (await true_book(venue, **SOL))[1]
    assert await asyncio.to_thread(main, arguments[:-2]) == 2
    assert "one --symbol" in capsys.readouterr().err
