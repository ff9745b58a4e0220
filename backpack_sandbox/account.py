"""The signed REST endpoints, enough for a client to prove its key."""

from typing import Any, Final

from aiohttp import web

from backpack_sandbox import answers
from backpack_sandbox.constants import API_PREFIX
from backpack_sandbox.faults import FaultRegistry
from backpack_sandbox.signing import Refusal, SignatureVerifier

BALANCES: Final[dict[str, Any]] = {
    "SOL": {"available": "250", "locked": "0", "staked": "0"},
    "USDC": {"available": "1000000", "locked": "0", "staked": "0"},
}


class AccountRest:
    """Signed requests of the house account."""

    def __init__(self, verifier: SignatureVerifier, faults: FaultRegistry) -> None:
        self._verifier = verifier
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """Every signed endpoint."""
        return [web.get(f"{API_PREFIX}/capital", self.capital)]

    async def capital(self, request: web.Request) -> web.Response:
        """Balances; they do not follow the house's fills."""
        if refusal := self._refusal("balanceQuery", request):
            return answers.refused(refusal)
        return answers.json_answer(BALANCES)

    def _refusal(self, instruction: str, request: web.Request) -> Refusal | None:
        if self._faults.refuses_signatures_of(request.headers.get("User-Agent", "")):
            return Refusal.SIGNATURE
        return self._verifier.refuse_request(instruction, dict(request.query), request.headers)
