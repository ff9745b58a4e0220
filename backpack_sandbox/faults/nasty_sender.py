"""Sends nasty inputs: to the sockets that are subscribed, and as the next answer of REST."""

import asyncio
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, Final

import msgspec
from aiohttp import web

from backpack_sandbox.faults.nasty import GENERATORS, NastyInput, NastyStep, find_nasty
from backpack_sandbox.faults.one_shots import OneShot, OneShots
from backpack_sandbox.faults.registry import FaultRegistry
from backpack_sandbox.sockets.fanout import Fanout
from backpack_sandbox.sockets.session import Session

SLICE_SECONDS: Final = 0.05


class NastyOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /sandbox/nasty.

    `user_agent` and `stream` are globs: of the clients, and of a stream that the socket must have.
    `wait_seconds` stands in for the waits of the input.
    """

    name: str
    user_agent: str = "*"
    stream: str = "*"
    wait_seconds: float | None = None


class NastySender:
    """Plays one input after the other; `symbols` are those that a flood may use."""

    def __init__(
        self, fanout: Fanout, faults: FaultRegistry, one_shots: OneShots, symbols: Sequence[str]
    ) -> None:
        self._fanout = fanout
        self._faults = faults
        self._one_shots = one_shots
        self._symbols = symbols
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, order: NastyOrder) -> dict[str, Any]:
        """Begin at once; {"sockets": how many get it, "answers": how many wait for a request}."""
        nasty = find_nasty(order.name)
        sessions = self._sessions(order)
        armed = [step for step in nasty.input if step.transport == "http"]
        for step in armed:
            self._one_shots.armed.append(_one_shot(order, step))
        task = asyncio.create_task(self._play(nasty, order, sessions))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return {"sockets": len(sessions), "answers": len(armed)}

    async def stop(self) -> None:
        """End what is still being sent, and forget the answers that nobody asked for."""
        self._one_shots.armed.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _play(
        self, nasty: NastyInput, order: NastyOrder, sessions: Sequence[Session]
    ) -> None:
        for step in nasty.input:
            if not sessions and step.transport.startswith("ws_"):
                # the input ended its sockets: the next frame is for those that come again
                sessions = await self._comers(order)
            if step.transport == "none":
                self._wait(step, order)
            elif step.transport.startswith(("ws_", "tcp_")):
                await self._deliver(step, sessions)
                if step.transport in {"ws_close", "tcp_reset"}:
                    sessions = ()

    async def _comers(self, order: NastyOrder) -> list[Session]:
        # sockets come when their clients want
        while not (sessions := self._sessions(order)):  # noqa: ASYNC110
            await asyncio.sleep(SLICE_SECONDS)
        return sessions

    def _sessions(self, order: NastyOrder) -> list[Session]:
        return [
            session
            for session in self._fanout
            if fnmatchcase(session.user_agent, order.user_agent)
            and not session.closing
            and any(fnmatchcase(key.rpartition("\0")[2], order.stream) for key in session.streams)
        ]

    def _wait(self, step: NastyStep, order: NastyOrder) -> None:
        seconds = step.wait_s if order.wait_seconds is None else order.wait_seconds
        self._faults.add(step.fault, user_agent=order.user_agent, duration_seconds=seconds)

    async def _deliver(self, step: NastyStep, sessions: Sequence[Session]) -> None:
        if step.transport == "ws_close":
            await asyncio.gather(*(session.close(step.code) for session in sessions))
        elif step.generator:
            make, frames_per_second = GENERATORS[step.generator]
            await _stream(make(self._symbols), frames_per_second, sessions)
        else:
            for session in sessions:
                _put(session, step)


def _put(session: Session, step: NastyStep) -> None:
    if step.transport == "ws_binary":
        session.send_binary(bytes.fromhex(step.hex))
    elif step.transport == "ws_ping":
        session.send_ping(bytes.fromhex(step.payload_hex))
    elif step.transport == "tcp_reset":
        session.abort()
    else:
        session.send(step.raw.encode())


async def _stream(
    frames: Iterator[bytes], frames_per_second: int | None, sessions: Sequence[Session]
) -> None:
    """Send all frames; slice by slice when they have a rate."""
    size = None if frames_per_second is None else round(frames_per_second * SLICE_SECONDS)
    due = asyncio.get_running_loop().time()
    while batch := list(islice(frames, size)):
        for session in sessions:
            session.send_all(batch)
        due += SLICE_SECONDS
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))


def _one_shot(order: NastyOrder, step: NastyStep) -> OneShot:
    if step.error:
        return OneShot(order.user_agent, step.path, None)

    def answer() -> web.Response:
        if step.text is None:
            body, kind = msgspec.json.encode(step.json), "application/json"
        else:
            body, kind = step.text.encode(), "text/html" if "<html" in step.text else "text/plain"
        return web.Response(body=body, status=step.status, content_type=step.content_type or kind)

    return OneShot(order.user_agent, step.path, answer)
