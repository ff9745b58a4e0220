"""Faults change what clients get, and never what happened."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest
from websockets.exceptions import InvalidHandshake

from backpack_sandbox.faults.names import FaultName
from tests.support.sandbox_client import running_venue, wire_client

NOW = 1_790_900_000.0


async def ledger_of(state_dir, profile, faults):
    """The lines after the first, for a venue at a standstill moved by hand, with one client."""
    async with (
        running_venue(state_dir, profile=profile, faults=faults, clock=lambda: NOW) as venue,
        AsyncExitStack() as stack,
    ):
        with suppress(OSError, InvalidHandshake):
            client = await stack.enter_async_context(wire_client(venue))
            await client.subscribe(*(f"depth.{symbol}" for symbol in venue.exchange.engines))
        for _ in range(4):
            venue.advance(1.5)
            await asyncio.sleep(0)
        lines = venue.ledger.path.read_bytes().split(b"\n")
    return lines[1:]


@pytest.mark.parametrize("fault", [name.value for name in FaultName])
async def test_a_fault_leaves_the_ledger_as_it_was(tmp_path, fault):
    """Same seed, same clock: same bytes."""
    calm = await ledger_of(tmp_path / "calm", "small", ())
    assert await ledger_of(tmp_path / "hit", "small", (fault,)) == calm


@pytest.mark.parametrize("profile", ["small", "venue"])
async def test_every_fault_at_once_leaves_the_ledger_as_it_was(tmp_path, profile):
    """Same seed, same clock: same bytes."""
    names = tuple(name.value for name in FaultName)
    calm = await ledger_of(tmp_path / "calm", profile, ())
    hit = await ledger_of(tmp_path / "hit", profile, names)
    assert len(calm) > 100
    assert hit == calm
