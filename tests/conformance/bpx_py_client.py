"""bpx-py, blocking and asyncio, behind one face.

Only `BASE_URL` and `BPX_API_URL`, its class attributes with Backpack's address, are replaced.
"""

import asyncio
import inspect
import json

from bpx.account import Account
from bpx.async_.account import Account as AsyncAccount
from bpx.async_.public import Public as AsyncPublic
from bpx.public import Public

PUBLIC = {"blocking": Public, "asyncio": AsyncPublic}
PRIVATE = {"blocking": Account, "asyncio": AsyncAccount}


class Client:
    """One flavour of one half of bpx-py: both are called in the same way."""

    def __init__(self, half):
        self._half = half
        self._blocks = isinstance(half, (Public, Account))

    async def call(self, method, *args, **named):
        function = getattr(self._half, method)
        if not self._blocks:
            return await function(*args, **named)
        return await asyncio.to_thread(_finish, function, *args, **named)


def _finish(function, *args, **named):
    """Call it here; one method of the blocking client is a coroutine that blocks its loop."""
    result = function(*args, **named)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def public_client(flavour, venue):
    """The half without a key; `flavour` is blocking or asyncio."""
    half = PUBLIC[flavour]()
    half.BASE_URL = f"{venue.rest_url}/"
    return Client(half)


def account_client(flavour, venue, key_file):
    """The half of the account whose key is in `key_file`."""
    pair = json.loads(key_file.read_text())
    half = PRIVATE[flavour](pair["api_key"], pair["private_key"])
    half.BPX_API_URL = f"{venue.rest_url}/"
    return Client(half)
