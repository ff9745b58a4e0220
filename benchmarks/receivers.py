"""Contenders without a feed: the floor (receive and decode), and receiving alone."""

import ssl
from collections.abc import Callable
from typing import Any

import msgspec
import websockets.asyncio.client
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from backpack_feed.wire.decode import decode
from benchmarks.job import Job
from benchmarks.progress import Progress

type Take = Callable[[bytes], object]


class Receiver(WSListener):  # type: ignore[misc]
    """Picows alone: every text frame's payload goes to `take` and is counted."""

    def __init__(self, take: Take, progress: Progress) -> None:
        self._take = take
        self._count = progress.count

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame."""
        if frame.msg_type is WSMsgType.TEXT:
            self._take(frame.get_payload_as_bytes())
            self._count()


def _request(job: Job) -> bytes:
    streams = [f"{kind}.{symbol}" for kind in ("depth", "trade") for symbol in job.venue_symbols]
    return msgspec.json.encode({"method": "SUBSCRIBE", "params": streams})


async def _picows(job: Job, progress: Progress, take: Take) -> None:
    tls = ssl.create_default_context(cafile=job.ca_file)
    transport, _ = await ws_connect(lambda: Receiver(take, progress), job.ws_url, ssl_context=tls)
    transport.send(WSMsgType.TEXT, _request(job))
    await transport.wait_disconnected()


async def floor(job: Job, progress: Progress) -> None:
    """Receive with picows, decode with the product's own decoder, nothing else."""
    await _picows(job, progress, decode)


async def floor_untyped(job: Job, progress: Progress) -> None:
    """Receive with picows, decode into plain dicts."""
    await _picows(job, progress, msgspec.json.decode)


async def picows(job: Job, progress: Progress) -> None:
    """Receive with picows, look at nothing."""
    await _picows(job, progress, len)


async def websockets_receive(job: Job, progress: Progress) -> None:
    """Receive with `websockets`, look at nothing; options as cryptofeed sets them."""
    tls = ssl.create_default_context(cafile=job.ca_file)
    options: dict[str, Any] = {"compression": None, "max_size": None, "max_queue": 1024}
    async with websockets.asyncio.client.connect(job.ws_url, ssl=tls, **options) as socket:
        await socket.send(_request(job).decode())
        while True:
            await socket.recv(decode=False)
            progress.count()
