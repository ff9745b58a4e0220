"""Checks a tape while it is being uploaded: neither end holds the whole of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from aiohttp import web

from backpack_sandbox.errors import SandboxError
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.truth.checker import TapeChecker
from backpack_sandbox.truth.findings import Findings
from backpack_sandbox.truth.ledger import Ledger

LINE_BYTES_MAX: Final = 4 * 1024 * 1024
LINES_AT_A_TIME: Final = 50
"""Between them the venue goes on with its markets."""


async def check_upload(
    request: web.Request,
    catalog: Mapping[str, Market],
    ledger: Ledger,
    *,
    name: str,
    complete: bool,
) -> Findings:
    """Compare the body, JSON lines, with the truth; findings call it `name`.

    Raises SandboxError for a line too long.
    """
    checker = TapeChecker(name, catalog, ledger, complete=complete)
    number = 0
    async for line in _lines(request):
        checker.take(line)
        number += 1
        if number % LINES_AT_A_TIME == 0:
            await asyncio.sleep(0)
    return checker.end()


async def _lines(request: web.Request) -> AsyncIterator[bytes]:
    rest = b""
    async for block in request.content.iter_any():
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > LINE_BYTES_MAX:
            raise SandboxError(f"a line of the tape has more than {LINE_BYTES_MAX} bytes")
    if rest:
        yield rest
