"""Requests that no client would send, made by schemathesis from the venue's own description.

Whatever comes: no 500, one of the venue's two error formats, and the venue still answers.
"""

import asyncio

import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.transport import Response

from tests.support.sandbox_client import SignedClient, running_venue, signing_key

EXAMPLES = 12
TIMEOUT_SECONDS = 10
A_DOZEN = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def venue(tmp_path_factory):
    directory = tmp_path_factory.mktemp("venue")
    limits = {"requests_per_minute": 10**9, "history_requests_per_minute": 10**9}
    async with running_venue(directory, taker_delay_seconds=0.0, **limits) as venue:
        venue.advance(10)
        yield venue


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def description(venue):
    """The description as the venue serves it."""

    def fetch():
        url = f"{venue.rest_url}/sandbox/openapi.json"
        return requests.get(url, verify=str(venue.ca_file), timeout=TIMEOUT_SECONDS).json()

    return await asyncio.to_thread(fetch)


def operations(description, *, signed: bool):
    """Every operation of one kind."""
    schema = schemathesis.openapi.from_dict(description)
    found = [result.ok() for result in schema.get_all_operations()]
    return [one for one in found if bool(one.definition.raw.get("security")) == signed]


def takes_nothing(operation) -> bool:
    """There is no parameter to get wrong."""
    raw = operation.definition.raw
    return not (raw["parameters"] or "requestBody" in raw)


def signature(venue, case) -> dict[str, str]:
    """What the trader's own key says to the request, as far as it can be signed at all."""
    client = SignedClient(None, signing_key(venue, "trader"))
    instruction = case.operation.definition.raw["description"].removeprefix("Instruction: ")
    blocks = case.body if isinstance(case.body, list | dict) and case.body else case.query
    try:
        return client.headers(instruction, blocks or {})
    except (AttributeError, TypeError):
        return client.headers(instruction, {})


def check(answer: Response) -> None:
    """A good answer, a refusal in one of the two formats, or 501 for what is not modelled."""
    assert answer.status_code < 500 or answer.status_code == 501, answer.text
    if answer.status_code < 400:
        return
    (content_type,) = answer.headers["content-type"]
    if content_type == "text/plain; charset=utf-8":
        assert answer.text
        return
    assert content_type == "application/json; charset=utf-8", answer.text
    assert answer.json().keys() == {"code", "message"}


def fuzz(venue, operation, mode: GenerationMode, *, signed: bool) -> None:
    """Blocking: a dozen requests to one operation, half of them for a market that exists."""
    symbols = st.sampled_from(sorted(venue.catalog))
    with requests.Session() as session:

        @A_DOZEN
        @given(
            case=operation.as_strategy(generation_mode=mode), symbol=symbols, known=st.booleans()
        )
        def ask(case, symbol, known):
            if known and isinstance(case.query, dict) and "symbol" in case.query:
                case.query["symbol"] = symbol
            if known and isinstance(case.body, dict) and "symbol" in case.body:
                case.body["symbol"] = symbol
            headers = signature(venue, case) if signed else {}
            check(
                case.call(
                    base_url=venue.rest_url,
                    session=session,
                    headers=headers,
                    verify=str(venue.ca_file),
                    timeout=TIMEOUT_SECONDS,
                )
            )

        ask()


async def still_answers(venue) -> None:
    def ping():
        url = f"{venue.rest_url}/api/v1/ping"
        return requests.get(url, verify=str(venue.ca_file), timeout=TIMEOUT_SECONDS).text

    assert await asyncio.to_thread(ping) == "pong"


@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
@pytest.mark.parametrize("signed", [False, True], ids=["public", "signed"])
async def test_no_request_of_the_description_breaks_the_venue(venue, description, mode, signed):
    """With good parameters and with bad ones; signed endpoints with a signature that holds."""
    asked = 0
    for operation in operations(description, signed=signed):
        if mode is GenerationMode.POSITIVE or not takes_nothing(operation):
            await asyncio.to_thread(fuzz, venue, operation, mode, signed=signed)
            asked += 1
    assert asked >= 15
    await still_answers(venue)


async def test_a_signed_request_without_a_signature_is_refused_in_json(venue, description):
    """Every one of them, with parameters that the parser takes."""
    for operation in operations(description, signed=True):
        await asyncio.to_thread(fuzz, venue, operation, GenerationMode.POSITIVE, signed=False)
    await still_answers(venue)


async def test_the_description_is_what_the_venue_serves(venue, description):
    """Path by path and method by method, both ways."""
    described = {
        (method.upper(), path)
        for path, methods in description["paths"].items()
        for method in methods
    }
    served = {
        (route.method, route.resource.canonical)
        for route in venue.application.router.routes()
        if route.method not in {"HEAD", "*"}
        and route.resource.canonical.startswith(("/api/", "/wapi/"))
    }
    assert described == served
