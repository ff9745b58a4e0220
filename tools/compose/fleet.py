"""Lays the fleet out: which instance has which symbols, and on which feed it begins.

What exists stays: a second `docker-compose up` neither moves symbols nor takes a flag back.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast, get_args

import requests
import yaml

from backpack_feed.errors import ConfigError, DecodeError
from backpack_feed.wire.decode import decode_markets
from backpack_feed.wire.signing import Signer
from backpack_feed.wire.symbols import symbol_table
from feed_migration.deployment import load_deployment
from feed_migration.fleet.supervisor import SupervisorFleet
from tools.compose import configs
from tools.compose.addresses import require_public
from tools.compose.configs import Venue
from tools.compose.control_secrets import write_private
from tools.compose.places import (
    FIRST_PORT,
    FIRST_SHADOW_PORT,
    MAX_INSTANCES,
    SANDBOX_REST_URL,
    ComposeError,
    Places,
    ports,
)

BACKPACK_REST_URL = "https://api.backpack.exchange"
VENUE_DEADLINE_SECONDS = 120.0
_POLL_SECONDS = 1.0


def lay_out(
    places: Places,
    environ: Mapping[str, str],
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Write what is missing and return what was done, in words; raises ComposeError."""
    require_public(environ)
    venue = _venue(environ)
    _bring_credentials(places, venue, monotonic, sleep)
    deployment_file = places.home / "deployment.yaml"
    if deployment_file.exists():
        load_deployment(places.home, {})
        return f"{deployment_file} is there already, nothing is changed"
    handlers = ports("feed", FIRST_PORT, _count(environ, "FLEET_SIZE", 10))
    shadows = ports("shadow", FIRST_SHADOW_PORT, _count(environ, "SHADOW_SIZE", 2))
    symbols = _symbols(places, venue, environ, monotonic, sleep)
    if len(symbols) < max(len(handlers), len(shadows)):
        raise ComposeError(
            f"{len(symbols)} symbols for {len(handlers)} instances: lower FLEET_SIZE in .env"
        )
    for names, configure in ((handlers, configs.handler), (shadows, configs.shadow)):
        dealt = configs.shards(symbols, len(names))
        for (name, port), shard in zip(names.items(), dealt, strict=True):
            document = configure(places, venue, name, port, shard)
            _write(places.home / "fleet" / f"{name}.yaml", yaml.safe_dump(document))
    _write(places.targets / "fleet.json", json.dumps(configs.targets(handlers, shadows)))
    document = configs.deployment(places, venue, handlers, shadows)
    _begin_on_ccxt(places, document)
    return f"{len(handlers)} instances and {len(shadows)} shadows, {len(symbols)} symbols"


def install_key(places: Places, raw: bytes) -> None:
    """Keep the venue's API key, JSON of `api_key` and `private_key`; ComposeError if it is none."""
    candidate = places.credentials / "api_key.new"
    write_private(candidate, raw.decode("utf-8", "replace"))
    try:
        Signer.from_file(candidate)
    except ConfigError:
        # not with the reason: it may quote what was given
        candidate.unlink()
        raise ComposeError(
            "standard input holds no API key: JSON with api_key and private_key, both base64"
        ) from None
    candidate.replace(places.api_key)


def _begin_on_ccxt(places: Places, document: object) -> None:
    """Write the flags before deployment.yaml, whose absence lets a broken first run go on."""
    text = yaml.safe_dump(document)
    draft = places.home / "deployment.new"
    _write(draft, text)
    deployment = load_deployment(places.home, {}, path=draft)
    if not deployment.fence_file.exists():
        SupervisorFleet(deployment).write_initial("ccxt")
    draft.replace(places.home / "deployment.yaml")


def _bring_credentials(
    places: Places, venue: Venue, monotonic: Callable[[], float], sleep: Callable[[float], None]
) -> None:
    """The sandbox's key and authority are copied, so that nobody else reads its folder."""
    if venue == "backpack":
        if not places.api_key.is_file():
            raise ComposeError(
                "no API key of Backpack: run"
                " 'docker-compose run --rm -T install-key < api_key.json' first"
            )
        return

    def is_there() -> bool:
        return (places.sandbox / "api_key.json").is_file() and (places.sandbox / "ca.pem").is_file()

    _await(is_there, "the sandbox has made no key", monotonic, sleep)
    for source, copy in (("api_key.json", places.api_key), ("ca.pem", places.ca_file)):
        temporary = copy.with_name(f".{copy.name}.tmp")
        shutil.copy(places.sandbox / source, temporary)
        temporary.replace(copy)


def _symbols(
    places: Places,
    venue: Venue,
    environ: Mapping[str, str],
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> list[str]:
    """Return BACKPACK_SYMBOLS, by default every open market of the venue."""
    given = environ.get("BACKPACK_SYMBOLS", "").replace(",", " ").split()
    if given:
        return given
    base = SANDBOX_REST_URL if venue == "sandbox" else BACKPACK_REST_URL
    verify = str(places.ca_file) if venue == "sandbox" else True
    found: list[str] = []

    def has_answered() -> bool:
        with suppress(requests.RequestException, DecodeError):
            answer = requests.get(f"{base}/api/v1/markets", verify=verify, timeout=10)
            answer.raise_for_status()
            rows, _ = decode_markets(answer.content)
            table = symbol_table(rows)
            found.extend(n for n, raw in table.to_venue.items() if table.states[raw] == "Open")
            return True
        return False

    _await(has_answered, f"{base} does not answer", monotonic, sleep)
    return found


def _await(
    ready: Callable[[], bool],
    problem: str,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    deadline = monotonic() + VENUE_DEADLINE_SECONDS
    while not ready():
        if monotonic() > deadline:
            raise ComposeError(
                f"{problem} within {VENUE_DEADLINE_SECONDS:.0f} s: is COMPOSE_PROFILES=sandbox in"
                " .env, or the way to the venue open?"
            )
        sleep(_POLL_SECONDS)


def _venue(environ: Mapping[str, str]) -> Venue:
    name = environ.get("BACKPACK_VENUE", "")
    if name not in get_args(Venue):
        raise ComposeError(f"BACKPACK_VENUE={name}: must be sandbox or backpack, correct .env")
    return cast("Venue", name)


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_INSTANCES):
        raise ComposeError(f"{name}={text}: must be from 1 to {MAX_INSTANCES}, correct .env")
    return int(text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    # Prometheus, another user, reads its targets; nothing that is written here is secret
    path.chmod(0o644)
