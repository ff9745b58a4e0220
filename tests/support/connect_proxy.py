"""A small HTTP proxy on loopback: CONNECT only, with or without a user and a password."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class ConnectProxy:
    """`tunnels` are the targets that were connected, `refused` counts requests without the pair."""

    port: int = 0
    credentials: str | None = None
    scheme: str = "http"
    tunnels: list[str] = field(default_factory=list)
    refused: int = 0

    def url(self, user_info: str = "") -> str:
        return f"{self.scheme}://{user_info}{'@' if user_info else ''}127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split(" ", 2)
            if method != "CONNECT" or not self._admits(head):
                self.refused += 1
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            else:
                self.tunnels.append(target)
                await self._tunnel(target, reader, writer)
        writer.close()

    def _admits(self, head: str) -> bool:
        if self.credentials is None:
            return True
        expected = base64.b64encode(self.credentials.encode()).decode()
        return f"proxy-authorization: basic {expected}".lower() in head.lower()

    async def _tunnel(
        self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, _, port = target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def connect_proxy(
    credentials: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ConnectProxy]:
    """Listen on a free port until the block ends; `credentials` is `user:password`."""
    proxy = ConnectProxy(credentials=credentials, scheme="https" if tls else "http")
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        server.close_clients()
        await server.wait_closed()
