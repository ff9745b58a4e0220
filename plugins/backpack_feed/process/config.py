"""The YAML file of one FeedHandler process, checked as a whole before anything starts.

Relative paths mean "beside this file". Errors name the file and the key.
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from backpack_feed.addresses import is_address, is_proxy
from backpack_feed.process.channels import (
    COMPARED,
    CandleInterval,
    Channel,
    DepthWindow,
    channel_complaints,
)
from backpack_feed.process.config_files import check_authority, check_folder, check_key_file
from backpack_feed.process.strict_yaml import parse_mapping
from backpack_feed.refusal import ConfigError

MAX_BYTES = 262_144
_INSTANCE_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_SCHEMES = {"rest_url": "https", "ws_url": "wss"}

Positive = Annotated[float, msgspec.Meta(gt=0)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class VenueConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the venue is, and how to get there.

    `ca_file` replaces the public certificate authorities; `http_proxy` is for REST and websocket.
    """

    rest_url: str = "https://api.backpack.exchange"
    ws_url: str = "wss://ws.backpack.exchange"
    ca_file: Path | None = None
    http_proxy: str | None = None

    def __repr__(self) -> str:
        # the address of the proxy may hold a password
        return f"VenueConfig(rest_url={self.rest_url!r}, ws_url={self.ws_url!r})"


class MetricsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where /metrics, /healthz and /snapshot listen; port 0 takes a free one and logs it."""

    host: str = "127.0.0.1"
    port: Port = 0


class TapeSink(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="tape",
):
    """A folder with trades.jsonl, books.jsonl, and <channel>.jsonl for every other channel."""

    directory: Path
    book_interval_seconds: Annotated[float, msgspec.Meta(ge=0)] = 1.0


class CryptofeedSink(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="cryptofeed",
):
    """Any cryptofeed backend callback, by its dotted path."""

    channel: Channel
    backend: str
    options: dict[str, Any] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        # options hold passwords of databases
        return f"CryptofeedSink(channel={self.channel!r}, backend={self.backend!r})"


class HandlerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One FeedHandler process.

    `candle_interval` is the length of the candles (1m when left out); with `depth_window` the venue
    aggregates the changes of a book. A shadow keeps samples of what its feeds disagree on in
    `parity_file`.
    """

    instance_id: Annotated[str, msgspec.Meta(pattern=_INSTANCE_ID)]
    symbols: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    channels: Annotated[tuple[Channel, ...], msgspec.Meta(min_length=1)] = COMPARED
    candle_interval: CandleInterval | None = None
    depth_window: DepthWindow | None = None
    venue: VenueConfig = msgspec.field(default_factory=VenueConfig)
    credentials_file: Path | None = None
    metrics: MetricsConfig = msgspec.field(default_factory=MetricsConfig)
    sinks: tuple[TapeSink | CryptofeedSink, ...] = ()
    checkpoint_directory: Path | None = None
    parity_file: Path | None = None
    role: Literal["handler", "shadow"] = "handler"
    max_snapshot_age_seconds: Positive = 30.0

    @property
    def tape(self) -> TapeSink | None:
        """The tape sink, which is also the checkpoint, if there is one."""
        return next((sink for sink in self.sinks if isinstance(sink, TapeSink)), None)


def load_config(path: Path) -> HandlerConfig:
    """Read and check `path`; raises `ConfigError` naming the file and the key at fault."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}: check --config") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_BYTES} bytes: is it the right file?")
    document = parse_mapping(path, raw)
    try:
        config = msgspec.convert(_with_default_kinds(document), HandlerConfig, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_at_key(str(error))}") from error
    _check(path, config)
    config = _beside(path.resolve().parent, config)
    _check_files(path, config)
    return config


def _with_default_kinds(document: Any) -> Any:
    """`kind` may be left out of a sink: a tape is the default kind."""
    if isinstance(document, dict) and isinstance(document.get("sinks"), list):
        sinks = [
            {"kind": "tape", **sink} if isinstance(sink, dict) else sink
            for sink in document["sinks"]
        ]
        return {**document, "sinks": sinks}
    return document


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    raise ValueError(f"Expected a path, was {value!r}")  # msgspec adds the key


def _at_key(text: str) -> str:
    """``Expected `str`, got `int` - at `$.venue.rest_url` `` → `venue.rest_url: Expected …`."""
    text = "".join(c if c.isprintable() else "?" for c in text)  # one line whatever the key is
    match = re.fullmatch(r"(?P<what>.*) - at `\$\.?(?P<key>.*)`", text, re.DOTALL)
    if match is None:
        return f"the file: {text}"
    return f"{match['key']}: {match['what']}"


def _check(path: Path, config: HandlerConfig) -> None:
    sinks = [
        (number, sink.channel)
        for number, sink in enumerate(config.sinks)
        if isinstance(sink, CryptofeedSink)
    ]
    complaints = (
        _venue_complaints(config.venue),
        _repeats(config.symbols),
        channel_complaints(
            config.channels,
            shadow=config.role == "shadow",
            credentials=config.credentials_file is not None,
            sinks=sinks,
        ),
        _sink_complaints(config),
    )
    for complaint in chain.from_iterable(complaints):
        raise ConfigError(f"{path}: {complaint}")


def _venue_complaints(venue: VenueConfig) -> Iterator[str]:
    for field, scheme in _SCHEMES.items():
        url = getattr(venue, field)
        if not is_address(url, scheme):
            yield (
                f"venue.{field}: {_without_user(url)!r} cannot be used: must be"
                f" {scheme}://host[:port] without a user name"
            )
    if venue.http_proxy is not None and not is_proxy(venue.http_proxy):
        yield (
            f"venue.http_proxy: {_without_user(venue.http_proxy)!r} cannot be used: must be"
            " http://[user:password@]host[:port]"
        )


def _repeats(symbols: tuple[str, ...]) -> Iterator[str]:
    repeated = sorted({s for s in symbols if symbols.count(s) > 1})
    if repeated:
        yield f"symbols: {', '.join(repeated)} is listed twice: list it once"


def _sink_complaints(config: HandlerConfig) -> Iterator[str]:
    if len([s for s in config.sinks if isinstance(s, TapeSink)]) > 1:
        yield "sinks: one tape is enough: remove the others"
    if config.role == "shadow" and config.sinks:
        yield "sinks: a shadow is read only: remove them or set role: handler"
    if config.role != "shadow" and config.parity_file is not None:
        yield "parity_file: only a shadow compares feeds: remove it or set role: shadow"
    if _needs_checkpoint(config):
        yield (
            "checkpoint_directory: needed without a tape, or a restart loses or repeats trades:"
            " name a folder"
        )


def _needs_checkpoint(config: HandlerConfig) -> bool:
    """Trades go to sinks that cannot be asked which one was the last."""
    kept = config.tape is not None or config.checkpoint_directory is not None
    return bool(config.sinks) and "trades" in config.channels and not kept


def _without_user(url: str) -> str:
    """Return `url` fit for an error: what stands before an @ may be a password."""
    return "…@" + url.rpartition("@")[2] if "@" in url else url


def _check_files(path: Path, config: HandlerConfig) -> None:
    check_authority(f"{path}: venue.ca_file", config.venue.ca_file)
    check_key_file(f"{path}: credentials_file", config.credentials_file)
    check_folder(f"{path}: checkpoint_directory", config.checkpoint_directory)
    if config.parity_file is not None:
        check_folder(f"{path}: parity_file", config.parity_file.parent)
    for number, sink in enumerate(config.sinks):
        if isinstance(sink, TapeSink):
            check_folder(f"{path}: sinks[{number}].directory", sink.directory)


def _beside(folder: Path, config: HandlerConfig) -> HandlerConfig:
    def absolute(path: Path | None) -> Path | None:
        return None if path is None else folder / path.expanduser()

    sinks = tuple(
        msgspec.structs.replace(sink, directory=absolute(sink.directory))
        if isinstance(sink, TapeSink)
        else sink
        for sink in config.sinks
    )
    return msgspec.structs.replace(
        config,
        venue=msgspec.structs.replace(config.venue, ca_file=absolute(config.venue.ca_file)),
        credentials_file=absolute(config.credentials_file),
        checkpoint_directory=absolute(config.checkpoint_directory),
        parity_file=absolute(config.parity_file),
        sinks=sinks,
    )
