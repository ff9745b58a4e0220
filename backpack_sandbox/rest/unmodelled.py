"""Signed endpoints that exist, and that the sandbox has nothing behind.

They are a table: the signature is checked, and then either the list is empty because nothing of
the kind can ever have happened here, or the answer is 501.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from backpack_sandbox.constants import API_PREFIX, HISTORY_PREFIX
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.queries import Page
from backpack_sandbox.rest.signed import Call, Endpoint, Given, RequestRefusedError

# each row is a method, a path and the instruction that is signed
NOT_IMPLEMENTED: Final = (
    ("PATCH", f"{API_PREFIX}/account", "accountUpdate"),
    ("POST", f"{API_PREFIX}/account/convertDust", "convertDust"),
    ("GET", f"{API_PREFIX}/account/limits/borrow", "maxBorrowQuantity"),
    ("GET", f"{API_PREFIX}/account/limits/withdrawal", "maxWithdrawalQuantity"),
    ("POST", f"{API_PREFIX}/borrowLend", "borrowLendExecute"),
    ("GET", f"{HISTORY_PREFIX}/capital/deposit/address", "depositAddressQuery"),
    ("POST", f"{HISTORY_PREFIX}/capital/withdrawals", "withdraw"),
    ("POST", f"{API_PREFIX}/rfq", "rfqSubmit"),
    ("POST", f"{API_PREFIX}/rfq/accept", "quoteAccept"),
    ("POST", f"{API_PREFIX}/rfq/cancel", "rfqCancel"),
    ("POST", f"{API_PREFIX}/rfq/quote", "quoteSubmit"),
    ("POST", f"{API_PREFIX}/rfq/refresh", "rfqRefresh"),
    ("POST", f"{API_PREFIX}/strategy", "strategyCreate"),
    ("DELETE", f"{API_PREFIX}/strategy", "strategyCancel"),
    ("DELETE", f"{API_PREFIX}/strategies", "strategyCancelAll"),
    ("GET", f"{API_PREFIX}/vault/nav", "vaultNavQuery"),
    ("POST", f"{API_PREFIX}/vault/mint", "vaultMint"),
    ("POST", f"{API_PREFIX}/vault/redeem", "vaultRedeemRequest"),
    ("DELETE", f"{API_PREFIX}/vault/redeem", "vaultRedeemCancel"),
)

ALWAYS_EMPTY: Final = (
    ("GET", f"{API_PREFIX}/borrowLend/positions", "borrowLendPositionQuery"),
    ("GET", f"{API_PREFIX}/rfqs", "rfqQuery"),
    ("GET", f"{API_PREFIX}/strategies", "strategyQueryAll"),
    ("GET", f"{API_PREFIX}/vault/redeems/pending", "vaultPendingRedeemsQuery"),
)

EMPTY_HISTORIES: Final = (
    ("GET", f"{HISTORY_PREFIX}/capital/deposits", "depositQueryAll"),
    ("GET", f"{HISTORY_PREFIX}/capital/withdrawals", "withdrawalQueryAll"),
    ("GET", f"{HISTORY_PREFIX}/history/borrowLend", "borrowHistoryQueryAll"),
    ("GET", f"{HISTORY_PREFIX}/history/borrowLend/positions", "borrowPositionHistoryQueryAll"),
    ("GET", f"{HISTORY_PREFIX}/history/dust", "dustHistoryQueryAll"),
    ("GET", f"{HISTORY_PREFIX}/history/interest", "interestHistoryQueryAll"),
    ("GET", f"{HISTORY_PREFIX}/history/quote", "quoteHistoryQueryAll"),
    ("GET", f"{HISTORY_PREFIX}/history/quote/fill", "quoteFillHistoryQueryAll"),
    ("GET", f"{HISTORY_PREFIX}/history/rfq", "rfqHistoryQueryAll"),
    ("GET", f"{HISTORY_PREFIX}/history/rfq/fill", "rfqFillHistoryQueryAll"),
    ("GET", f"{HISTORY_PREFIX}/history/strategies", "strategyHistoryQueryAll"),
)

# one row, by id: there is never any
NEVER_FOUND: Final = (("GET", f"{API_PREFIX}/strategy", "strategyQuery"),)


def unmodelled_endpoints() -> list[Endpoint[Any]]:
    """Every row of the tables."""
    plain: list[tuple[tuple[tuple[str, str, str], ...], Answer]] = [
        (NOT_IMPLEMENTED, _not_implemented),
        (NEVER_FOUND, _not_found),
        (ALWAYS_EMPTY, _empty),
    ]
    return [
        *(Endpoint(*row, _anything, answer) for rows, answer in plain for row in rows),
        *(Endpoint(*row, _page, _no_rows, history=True) for row in EMPTY_HISTORIES),
    ]


type Answer = Callable[[Call[None]], Awaitable[web.StreamResponse]]


def _anything(_given: Given) -> None:
    """Whatever was sent: it only has to be signed."""


def _page(given: Given) -> Page:
    return Page.of(given.query)


async def _not_implemented(call: Call[None]) -> web.StreamResponse:
    place = f"{call.request.method} {call.request.path}"
    raise RequestRefusedError("NOT_IMPLEMENTED", f"The sandbox does not model {place}")


async def _not_found(_call: Call[None]) -> web.StreamResponse:
    raise RequestRefusedError("RESOURCE_NOT_FOUND", "Not Found")


async def _empty(_call: Call[None]) -> web.StreamResponse:
    return answers.json_answer([])


async def _no_rows(call: Call[Page]) -> web.StreamResponse:
    answer = answers.json_answer([])
    answer.headers.update(call.value.headers(0))
    return answer
