"""The signed REST endpoints: the same account as the private streams tell of."""

from aiohttp import web

from backpack_sandbox.account.signing import Refusal, SignatureVerifier
from backpack_sandbox.constants import API_PREFIX
from backpack_sandbox.faults.registry import FaultRegistry
from backpack_sandbox.market.decimals import plain
from backpack_sandbox.rest import answers
from backpack_sandbox.streams.account_frames import position_body
from backpack_sandbox.streams.account_streams import AccountStreams


class AccountRest:
    """Signed requests of the house account."""

    def __init__(
        self, verifier: SignatureVerifier, faults: FaultRegistry, account: AccountStreams
    ) -> None:
        self._verifier = verifier
        self._faults = faults
        self._account = account

    def routes(self) -> list[web.RouteDef]:
        """Every signed endpoint."""
        return [
            web.get(f"{API_PREFIX}/capital", self.capital),
            web.get(f"{API_PREFIX}/position", self.positions),
        ]

    async def capital(self, request: web.Request) -> web.Response:
        """Balances as of the last `account.balanceUpdate`."""
        if refusal := self._refusal("balanceQuery", request):
            return answers.refused(refusal)
        return answers.json_answer(
            {
                balance.asset: {
                    "available": plain(balance.available),
                    "locked": plain(balance.locked),
                    "staked": "0",
                }
                for balance in self._account.portfolio.balances()
            }
        )

    async def positions(self, request: web.Request) -> web.Response:
        """The open positions, or that of `symbol`: 404 when it has none."""
        if refusal := self._refusal("positionQuery", request):
            return answers.refused(refusal)
        wanted = request.query.get("symbol")
        found = [
            position_body(position, self._account.mark(position))
            for position in self._account.portfolio.positions()
            if wanted in {None, position.symbol}
        ]
        return answers.json_answer(found) if found or not wanted else answers.closed_market()

    def _refusal(self, instruction: str, request: web.Request) -> Refusal | None:
        if self._faults.refuses_signatures_of(request.headers.get("User-Agent", "")):
            return Refusal.SIGNATURE
        return self._verifier.refuse_request(instruction, dict(request.query), request.headers)
