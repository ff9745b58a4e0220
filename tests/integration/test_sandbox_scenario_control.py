"""Scenarios and scheduled faults inside a running venue, by HTTP and in its own process."""

import pytest

from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.scenario import find_scenario, read_scenario
from tests.support.conditions import eventually
from tests.support.sandbox_client import rest_client, running_venue, wire_client

STORY = """\
name: mine
story: Two faults, an input, and a market that runs and stops.
steps:
  - {at: 0, fault: stale, duration_seconds: 30, user_agent: nobody}
  - {at: 0, fault: cert_expired, duration_seconds: 1}
  - {at: 0, nasty: bad_json}
  - {at: 0, market: pace, pace: 5}
  - {at: 60, fault: key_revoked}
expect:
  within_seconds: 5
"""
PAUSE = """\
name: mine
story: The market stops.
steps:
  - {at: 0, market: pace, pace: 3}
  - {at: 0, market: ORDER}
  - {at: 1, nasty: bad_json}
expect: {within_seconds: 1}
"""
PATH = "/sandbox/scenarios"
LARGE = "BRK.B.US_USDC_PERP"
"""Of the large profile alone."""


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path) as venue:
        yield venue


async def order(http, method: str, path: str = PATH, **body) -> tuple[int, dict]:
    async with http.request(method, path, json=body or None) as answer:
        return answer.status, await answer.json()


async def test_a_scenario_gives_its_orders_in_time_and_takes_all_back_when_stopped(venue):
    """One at a time; the status tells how far it is."""
    async with rest_client(venue) as http, wire_client(venue) as client:
        await client.subscribe("depth.SOL_USDC")
        await client.drain()
        started = await order(http, "POST", name="mine", yaml=STORY, speed=2, user_agent="tests*")
        assert started[1] == {
            "playing": "mine",
            "id": 1,
            "speed": 2.0,
            "step": 0,
            "steps": 5,
            "seconds": 30.0,
        }
        assert "1790915" in await client.receive()
        status, body = await order(http, "POST", name="lost_deltas")
        assert (status, body["error"]) == (400, "mine is being played: stop it first")
        assert (await order(http, "GET"))[1]["step"] == 4
        faults = {fault.name: fault for fault in venue.faults.active()}
        assert faults.keys() == {FaultName.STALE, FaultName.CERT_EXPIRED}
        assert faults[FaultName.STALE].order.user_agent == "tests*"
        assert faults[FaultName.STALE].order.duration_seconds == 15
        assert venue.driver.pace == 5
        over = {"playing": None, "last": "mine", "id": 1, "ended": "stopped"}
        assert (await order(http, "DELETE"))[1] == over
        assert venue.faults.active() == ()
        assert venue.driver.pace == 1


async def test_a_scenario_that_cannot_be_played_is_refused_with_the_reason(venue):
    """By name, by text, by speed and by market."""
    async with rest_client(venue) as http:
        for body, says in (
            ({"name": "nope"}, "unknown scenario 'nope': choose one of cdn_outage"),
            ({"name": "x.yaml", "yaml": "story: 5"}, "x.yaml:1: "),
            ({"name": "lost_deltas", "speed": 0}, "speed was 0, must"),
            ({"name": "lost_deltas", "pace": 1}, "unknown field `pace`"),
            (
                {"name": "x", "yaml": STORY.replace("user_agent: nobody", "symbols: [BRK_USDC]")},
                "x:4: steps[0]: unknown symbol BRK_USDC: no profile lists it",
            ),
            (
                {"name": "x", "yaml": STORY.replace("user_agent: nobody", f"symbols: [{LARGE}]")},
                f"mine: unknown symbol {LARGE}: see /api/v1/markets",
            ),
        ):
            status, answer = await order(http, "POST", **body)
            assert status == 400
            assert says in answer["error"]
    assert venue.scenarios.status() == {"playing": None}


async def test_a_venue_begins_with_its_scenario(tmp_path):
    """Told by name or by file; what is none ends the start."""
    file = tmp_path / "mine.yaml"
    file.write_text(STORY)
    async with running_venue(tmp_path / "a", scenario=str(file)) as venue:
        await eventually(lambda: venue.scenarios.status()["step"] == 4)
    with pytest.raises(SandboxError, match="--scenario: unknown scenario 'nope'"):
        async with running_venue(tmp_path / "b", scenario="nope"):
            pass


async def test_a_scenario_ends_by_itself_and_the_next_may_be_played(venue):
    """At once after its last fault."""
    short = find_scenario("quiet_reconnect")
    for _ in range(2):
        venue.scenarios.play(short, speed=50)
        await eventually(lambda: not venue.scenarios.status()["playing"])
        assert venue.scenarios.status()["last"] == "quiet_reconnect"
    await eventually(lambda: not venue.faults.active())


@pytest.mark.parametrize("was_paused", [False, True])
@pytest.mark.parametrize("is_stopped", [False, True])
async def test_a_pause_ends_with_its_scenario(tmp_path, was_paused, is_stopped):
    """The market stands or moves as before, at the pace it had."""
    story = PAUSE.replace("ORDER", "resume" if was_paused else "pause")
    async with running_venue(tmp_path, paused=was_paused) as venue:
        venue.driver.pace = 2.0
        venue.scenarios.play(read_scenario(story, "mine"), speed=1 if is_stopped else 5)
        await eventually(lambda: venue.driver.paused is not was_paused)
        assert venue.driver.pace == 3
        if is_stopped:
            await venue.scenarios.stop()
        await eventually(lambda: not venue.scenarios.status()["playing"])
        assert venue.scenarios.status()["ended"] == ("stopped" if is_stopped else "over")
        assert (venue.driver.paused, venue.driver.pace) == (was_paused, 2.0)
        venue.driver.paused = not was_paused
        await venue.scenarios.stop()  # there is none, so nothing changes
        assert venue.driver.paused is not was_paused


async def test_pace_moves_every_market_so_many_times_as_fast(tmp_path):
    """Model time goes by faster; it is the same market."""
    async with running_venue(tmp_path, paused=False) as venue:
        fast = STORY.replace("pace: 5", "pace: 100")
        venue.scenarios.play(read_scenario(fast, "fast"))
        began = venue.exchange.model_seconds
        await eventually(lambda: venue.exchange.model_seconds > began + 100)


async def test_a_fault_waits_for_its_time(venue):
    """It is listed as not active, begins, lasts its duration from there, and can be called off."""
    async with rest_client(venue) as http:
        options = {"fault": "gap", "start_after_seconds": 0.3, "duration_seconds": 0.3}
        await order(http, "POST", "/sandbox/faults", **options)
        await order(http, "POST", "/sandbox/faults", **options | {"start_after_seconds": 60})
        _, listed = await order(http, "GET", "/sandbox/faults")
        assert [each["active"] for each in listed] == [False, False]
        assert 59 < listed[1]["begins_in_seconds"] <= 60
        assert listed[1]["ends_in_seconds"] > listed[1]["begins_in_seconds"]
        await eventually(venue.faults.active)
        await eventually(lambda: not venue.faults.active())
        (waiting,) = venue.faults.waiting()
        assert (await order(http, "DELETE", f"/sandbox/faults/{waiting.fault_id}"))[0] == 200
        assert (await order(http, "GET", "/sandbox/faults"))[1] == []


async def test_an_empty_body_is_told_as_such(venue):
    """At each endpoint that wants one."""
    async with rest_client(venue) as http:
        for path in ("/sandbox/faults", "/sandbox/nasty", PATH):
            status, answer = await order(http, "POST", path)
            assert (status, answer) == (400, {"error": "the body is empty: send a JSON object"})


async def test_the_catalogue_tells_what_every_fault_takes(venue):
    """And the list of nasty inputs what a good client does."""
    async with rest_client(venue) as http:
        _, kinds = await order(http, "GET", "/sandbox/faults/catalogue")
        assert [kind["fault"] for kind in kinds] == list(FaultName)
        delay = next(kind for kind in kinds if kind["fault"] == "delay")
        assert delay["parameters"]["delay_ms"]["default"] == 200
        assert delay["share_of"] == "sockets"
        _, inputs = await order(http, "GET", "/sandbox/nasty")
        assert "bad_json" in [each["name"] for each in inputs]
