"""A real `backpack-feed run` process, and what its tape and the venue's ledger say."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

from tests.support.conditions import eventually

FLAG = "CRYPTOFEED_BACKPACK_NATIVE"


class FeedProcess:
    """Starts on entry; `kill` is SIGKILL, leaving is SIGTERM."""

    def __init__(
        self, config_file: Path, *, native: bool, environment: Mapping[str, str] | None = None
    ) -> None:
        self.config_file = config_file
        self.native = native
        self.environment = environment or {}
        self.port = 0
        self.log: list[str] = []

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "backpack_feed.cli",
            "run",
            "--config",
            str(self.config_file),
            env={**os.environ, **self.environment, FLAG: str(self.native).lower()},
            stderr=asyncio.subprocess.PIPE,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end(signal.SIGTERM)

    async def end(self, number: int) -> int:
        """Send the signal and return the exit code; a second call changes nothing."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 10)
        await self._reader
        return code

    async def snapshot(self) -> dict[str, Any]:
        """GET /snapshot, or {} while nobody answers."""
        if not self.port:
            return {}
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"http://127.0.0.1:{self.port}/snapshot") as answer:
                    return await answer.json()
            except aiohttp.ClientConnectionError:
                return {}

    async def ready(self) -> dict[str, Any]:
        """Wait until the process says it is ready."""

        async def is_ready() -> dict[str, Any] | None:
            assert self.process.returncode is None, self.log
            body = await self.snapshot()
            return body if body.get("ready") else None

        return await eventually(is_ready, 15, lambda: self.log)

    async def _read(self) -> None:
        async for line in self.process.stderr:
            self.log.append(line.decode().rstrip())
            marker = "listens on port "
            if marker in self.log[-1]:
                self.port = int(json.loads(self.log[-1])["message"].rpartition(marker)[2])


def write_config(folder: Path, venue: Any, symbols: Iterable[str], **extra: Any) -> Path:
    """Write a handler configuration for `venue` with a tape in `folder`/tape."""
    path = folder / "feed-00.yaml"
    document = {
        "instance_id": "feed-00",
        "symbols": list(symbols),
        "venue": {
            "rest_url": venue.rest_url,
            "ws_url": venue.ws_url,
            "ca_file": str(venue.ca_file),
        },
        "metrics": {"host": "127.0.0.1", "port": 0},
        "sinks": [{"kind": "tape", "directory": str(folder / "tape")}],
    }
    path.write_text(yaml.safe_dump(document | extra))
    return path


def tape_lines(folder: Path) -> list[dict[str, Any]]:
    """Every whole line of the trades tape in `folder`/tape."""
    path = folder / "tape" / "trades.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def taped_trades(folder: Path) -> dict[str, list[tuple[int, str, Decimal, Decimal]]]:
    """Per cryptofeed symbol: (id, side, price, amount) in tape order; a torn tail is left out."""
    taped: dict[str, list[tuple[int, str, Decimal, Decimal]]] = {}
    for trade in tape_lines(folder):
        taped.setdefault(trade["symbol"], []).append(
            (
                int(trade["id"]),
                trade["side"],
                Decimal(trade["price"]),
                Decimal(trade["amount"]),
            )
        )
    return taped


def published_trades(ledger_file: Path) -> dict[str, list[tuple[int, str, Decimal, Decimal]]]:
    """Per cryptofeed symbol what the venue published, from its ledger."""
    published: dict[str, list[tuple[int, str, Decimal, Decimal]]] = {}
    for line in ledger_file.read_bytes().split(b"\n")[:-1]:
        frame = json.loads(line)
        data = frame.get("data", {})
        if data.get("e") == "trade":
            published.setdefault(data["s"].replace("_", "-"), []).append(
                (
                    data["t"],
                    "sell" if data["m"] else "buy",
                    Decimal(data["p"]),
                    Decimal(data["q"]),
                )
            )
    return published
