"""The accounts as bytes, so that a restart need not read their whole past."""

from collections.abc import Mapping

import msgspec

from backpack_sandbox.account.accounts import Accounts
from backpack_sandbox.account.history import HistoryState, OrderHistory
from backpack_sandbox.account.portfolio import PortfolioState
from backpack_sandbox.market.catalog import Market


class _Snapshot(msgspec.Struct, frozen=True, array_like=True):
    portfolio: PortfolioState
    history: HistoryState


def dump_accounts(accounts: Accounts, history: OrderHistory) -> bytes:
    """Everything that the accounts remember, exactly."""
    return msgspec.msgpack.encode(
        {name: _Snapshot(accounts[name].state(), history.state(name)) for name in accounts}
    )


def load_accounts(catalog: Mapping[str, Market], content: bytes) -> tuple[Accounts, OrderHistory]:
    """The accounts that gave `content`.

    Raises msgspec.DecodeError when it is of another shape, KeyError for an unknown account.
    """
    accounts = Accounts(catalog)
    for name, snapshot in msgspec.msgpack.decode(content, type=dict[str, _Snapshot]).items():
        accounts[name].restore(snapshot.portfolio)
        accounts.history.restore(name, snapshot.history)
    return accounts, accounts.history
