"""The accounts of the venue: who they are, what they own and what they did."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from backpack_sandbox.account.funding import FundingPayment
from backpack_sandbox.account.history import OrderHistory
from backpack_sandbox.account.portfolio import AccountChange, Balance, Endowment, Portfolio
from backpack_sandbox.constants import HOUSE, TRADER
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import OrderEvent

ENDOWMENTS: Final = {
    HOUSE: Endowment(Decimal(10_000_000), 500),
    TRADER: Endowment(Decimal(1_000_000), 100),
}


class Accounts(Mapping[str, Portfolio]):
    """Account name to portfolio, with the `history` of them all.

    Each order event and funding payment goes through here once, live or read back from a ledger.
    """

    def __init__(self, catalog: Mapping[str, Market]) -> None:
        self._portfolios = {
            name: Portfolio(catalog, endowment) for name, endowment in ENDOWMENTS.items()
        }
        self.history = OrderHistory(catalog, self._portfolios)

    def __getitem__(self, name: str) -> Portfolio:
        return self._portfolios[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._portfolios)

    def __len__(self) -> int:
        return len(self._portfolios)

    def apply(self, event: OrderEvent, engine_us: int) -> list[AccountChange]:
        """Follow an order event of one of the accounts; return what changed of its portfolio."""
        self.history.note(event, engine_us)
        return self._portfolios[event.order.request.account].apply(event)

    def pay_funding(self, account: str, payment: FundingPayment) -> Balance:
        """Settle a funding payment; return the balance after it."""
        self.history.note_funding(account, payment)
        return self._portfolios[account].pay_funding(payment)
