"""The clients for Node: one process, a JSON request per line, see node/call.mjs."""

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tests.conformance.refusals import RefusedError

FOLDER = Path(__file__).parent / "node"
CALL_SECONDS = 30.0
# as tools/setup.sh: the one of the environment first
NODE = (
    shutil.which("node", path=os.pathsep.join([f"{sys.prefix}/bin", os.environ["PATH"]])) or "node"
)


class NodeProcess:
    """Holds clients of several venues; thread-safe, and bound to no event loop.

    The venues must be signed by the authority in `ca_file`: Node reads it once, at the start.
    """

    def __init__(self, ca_file: Path) -> None:
        self._process = subprocess.Popen(
            [NODE, "call.mjs"],
            cwd=FOLDER,
            env=os.environ | {"NODE_EXTRA_CA_CERTS": str(ca_file)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    async def open(self, client: str, **settings: Any) -> "NodeClient":
        """A client by its npm name; `settings` go to its builder in call.mjs."""
        return NodeClient(self, await self.request(open={"client": client, **settings}))

    async def request(self, **request: Any) -> Any:
        """Send one request; raises RefusedError when the client threw."""
        number = next(self._ids)
        future = self._waiting[number] = Future()
        self._process.stdin.write(json.dumps({"id": number, **request}) + "\n")
        self._process.stdin.flush()
        async with asyncio.timeout(CALL_SECONDS):
            answer = await asyncio.wrap_future(future)
        if error := answer.get("error"):
            raise RefusedError(tuple(error["kinds"]), error["message"])
        return answer["value"]

    def close(self) -> None:
        """End the process: it stops when its input ends."""
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout:
            answer = json.loads(line)
            future = self._waiting.pop(answer["id"])
            if not future.cancelled():
                future.set_result(answer)


class NodeClient:
    """One client in the process."""

    def __init__(self, node: NodeProcess, handle: int) -> None:
        self._node = node
        self._handle = handle

    async def call(self, path: str, *args: Any) -> Any:
        """Call a method by its path (`markets.getDepth`); None where Node says undefined."""
        return await self._node.request(handle=self._handle, call=path, args=args)

    async def listen(self, path: str) -> None:
        """Give the method at `path` a callback, whose arguments `messages` returns."""
        await self._node.request(handle=self._handle, listen=path)

    async def messages(self) -> list[Any]:
        """What the callback got since the last time."""
        return await self._node.request(handle=self._handle, messages=True)
