"""Every method that backpack-exchange-sdk has: none meets an answer that the protocol has not."""

import inspect
import json

import pytest
from backpack_exchange_sdk import AuthenticationClient, PublicClient
from backpack_exchange_sdk._base.errors import BackpackAPIError

from backpack_sandbox.rest.answers import ErrorCode
from tests.conformance.sdk_client import account_client, public_client

ARGUMENTS = {
    "symbol": "SOL_USDC_PERP",
    "side": "Bid",
    "orderType": "Limit",
    "quantity": "1",
    "interval": "1d",
    "start_time": 1_795_000_000,
    "blockchain": "Solana",
    "blockchain_name": "Solana",
    "address": "nowhere",
    "borrow": "1",
    "rfqId": "1",
    "quoteId": "1",
    "bidPrice": "1",
    "askPrice": "2",
    "strategyType": "Scheduled",
    "orders": [{"symbol": "SOL_USDC", "side": "Bid", "orderType": "Market", "quantity": "0.01"}],
    "withdrawalDelayHours": 1,
    "twoFactorToken": "1",
}
UNDOCUMENTED = {
    "get_estimated_liquidation_price",
    "get_withdrawal_delay",
    "create_withdrawal_delay",
    "update_withdrawal_delay",
}
CODES = {code.value for code in ErrorCode}


def methods(kind):
    return [
        name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")
    ]


def needed(kind, method):
    """Something for each argument that has no default."""
    parameters = inspect.signature(getattr(kind, method)).parameters
    return {
        name: ARGUMENTS[name]
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name != "self"
    }


async def outcome(client, kind, method):
    """`answered`, a code of the venue, or the plain text that it refused with."""
    try:
        answer = await client.call(method, **needed(kind, method))
    except BackpackAPIError as error:
        return error.code or error.message
    json.dumps(answer)
    return "answered"


@pytest.mark.parametrize("kind", [PublicClient, AuthenticationClient])
async def test_every_method_is_answered_or_refused_with_a_code(venue, kind):
    """Only paths that no document names are unknown here too."""
    client = (
        public_client(venue)
        if kind is PublicClient
        else account_client(venue, venue.trader_api_key_file)
    )
    outcomes = {method: await outcome(client, kind, method) for method in methods(kind)}
    client.close()
    assert len(outcomes) > 15
    plain = {m for m, told in outcomes.items() if told not in {"answered", *CODES}}
    assert plain <= UNDOCUMENTED | {"get_borrow_lend_market_history"}, outcomes
    assert "SERVER_ERROR" not in outcomes.values()


async def test_finding_a_missing_price_is_signed_as_a_word(venue):
    """`price=None` goes into the signature, and null into the body: the venue omits nulls."""
    client = account_client(venue, venue.trader_api_key_file)
    with pytest.raises(BackpackAPIError, match="Invalid signature"):
        await client.call("execute_order", "Limit", "Bid", "SOL_USDC", quantity="1")
    client.close()
