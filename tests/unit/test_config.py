"""The configuration file of a FeedHandler process."""

import json
from pathlib import Path
from typing import get_args

import pytest
import trustme

from backpack_feed.constants import CANDLE_INTERVALS, DEPTH_WINDOWS
from backpack_feed.process.channels import CandleInterval, DepthWindow, served_channels
from backpack_feed.process.config import CryptofeedSink, TapeSink, load_config
from backpack_feed.refusal import ConfigError
from tests.support.backpack_fixtures import load_fixture

KEY = load_fixture("signing_vectors")["keys"]["seed_00_1f"]
MINIMAL = "instance_id: feed-00\nsymbols: [SOL-USDC]\n"


@pytest.fixture
def write(tmp_path):
    def write_config(text: str) -> Path:
        path = tmp_path / "feed-00.yaml"
        path.write_text(text)
        return path

    return write_config


@pytest.fixture
def files(tmp_path):
    """A certificate authority and a key file beside the configuration, and a file in the way."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    pair = {"api_key": KEY["verifying_key_b64_api_key"], "private_key": KEY["seed_b64_api_secret"]}
    (tmp_path / "key.json").write_text(json.dumps(pair))
    (tmp_path / "taken").write_text("")


def refusal(path):
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text.removeprefix(str(path))


@pytest.mark.usefixtures("files")
def test_a_full_file_is_read_with_paths_beside_it(write, tmp_path):
    """Relative paths mean beside the file; a sink without a kind is a tape."""
    config = load_config(
        write(
            MINIMAL + "venue: {rest_url: 'https://h:1', ws_url: 'wss://h:1', ca_file: ca.pem}\n"
            f"credentials_file: {tmp_path}/key.json\n"
            "metrics: {host: 127.0.0.1, port: 9601}\n"
            "sinks:\n- {directory: tapes, book_interval_seconds: 0.5}\n"
            "- {kind: cryptofeed, channel: trades, backend: a.B, options: {host: x}}\n"
            "max_snapshot_age_seconds: 10\n"
        )
    )
    assert config.venue.ca_file == tmp_path / "ca.pem"
    assert config.credentials_file == tmp_path / "key.json"
    assert config.sinks == (
        TapeSink(directory=tmp_path / "tapes", book_interval_seconds=0.5),
        CryptofeedSink(channel="trades", backend="a.B", options={"host": "x"}),
    )
    assert config.tape == config.sinks[0]
    assert config.metrics.port == 9601
    assert config.max_snapshot_age_seconds == 10


def test_defaults_are_the_venue_itself_and_no_sinks(write):
    """The shortest file names an instance and its symbols."""
    config = load_config(write(MINIMAL))
    assert config.venue.rest_url == "https://api.backpack.exchange"
    assert config.role == "handler"
    assert config.tape is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("symbols: [A]\n", "instance_id"),
        (MINIMAL + "treshold: 1\n", "treshold"),
        (MINIMAL + "metrics: {port: 70000}\n", ": metrics.port: "),
        (MINIMAL + "metrics: {port: '9601'}\n", ": metrics.port: "),
        (MINIMAL + "sinks: [{kind: paper}]\n", ": sinks[0].kind: "),
        (MINIMAL + "sinks: [{kind: tape}]\n", "directory"),
        (MINIMAL + "role: leader\n", ": role: "),
        (MINIMAL + "venue: {ca_file: 7}\n", ": venue.ca_file: "),
        (MINIMAL + "venue: {rest_url: 'ftp://h'}\n", ": venue.rest_url: "),
        (MINIMAL + "venue: {ws_url: 'wss://me:secret@h'}\n", ": venue.ws_url: "),
        (MINIMAL + "max_snapshot_age_seconds: 0\n", ": max_snapshot_age_seconds: "),
        ("instance_id: ../etc\nsymbols: [A]\n", ": instance_id: "),
        ("instance_id: a\nsymbols: []\n", ": symbols: "),
        ("instance_id: a\nsymbols: [A, A]\n", ": symbols: A is listed twice"),
        (MINIMAL + "role: shadow\nsinks: [{directory: t}]\n", ": sinks: a shadow is read only"),
        (MINIMAL + "parity_file: p.json\n", ": parity_file: only a shadow compares feeds"),
        (MINIMAL + "sinks: [{directory: t}, {directory: u}]\n", ": sinks: one tape"),
        (
            MINIMAL + "sinks: [{kind: cryptofeed, channel: trades, backend: a.B}]\n",
            ": checkpoint_directory: needed",
        ),
        (MINIMAL + "channels: []\n", ": channels: "),
        (MINIMAL + "channels: [book]\n", ": channels[0]: "),
        (MINIMAL + "channels: [trades, trades]\n", ": channels: trades is listed twice"),
        (
            MINIMAL + "channels: [trades, order_info, fills]\n",
            ": channels: order_info, fills needs credentials: name the key file in credentials_file",
        ),
        (
            MINIMAL + "role: shadow\nchannels: [trades]\n",
            ": channels: a shadow compares l2_book and",
        ),
        (MINIMAL + "candle_interval: 7m\n", ": candle_interval: "),
        (MINIMAL + "depth_window: 100ms\n", ": depth_window: "),
        (MINIMAL + "venue: {http_proxy: 'socks5://h:1'}\n", "must be http://[user:password@]host"),
        (MINIMAL + "venue: {http_proxy: 'http://h:1/path'}\n", ": venue.http_proxy: "),
        (
            MINIMAL
            + "sinks: [{directory: t}, {kind: cryptofeed, channel: ticker, backend: a.B}]\n",
            ": sinks[1].channel: ticker is not in channels: add it there",
        ),
        (MINIMAL + "symbols: [B]\n", ":3: key 'symbols' is given twice"),
        (MINIMAL + "metrics: &m {port: 1}\nvenue: *m\n", ":4: aliases are not allowed"),
        ("instance_id: [\n", ":2: "),
        ("- 1\n", "the file: "),
        ("", ": is empty: write a mapping with at least instance_id and symbols"),
        ("# nothing\n", ": is empty: "),
        (MINIMAL + "? [a]\n: b\n", ":3: a key must be plain text"),
        (MINIMAL + "a: 2026-99-99\n", ":3: '2026-99-99' "),
        (MINIMAL + "a: !!bool maybe\n", ":3: 'maybe' "),
        (MINIMAL + "!!map [a]: 1\n", ":3: "),
        ("!!map [a]\n", ":1: "),
        ("[" * 10_000, ": is nested too deeply"),
        ("\x00\x01\x02", ": is not a text file "),
        ('"a\\nb": 1\n' + MINIMAL, "unknown field"),
        (MINIMAL + "venue: {rest_url: 'https://[::1'}\n", ": venue.rest_url: 'https://[::1' "),
        (MINIMAL + "venue: {rest_url: 'https://h:abc'}\n", ": venue.rest_url: 'https://h:abc' "),
        (MINIMAL + "venue: {rest_url: 'https://h:0'}\n", ": venue.rest_url: 'https://h:0' "),
        (MINIMAL + "venue: {ws_url: 'wss://h:99999'}\n", ": venue.ws_url: 'wss://h:99999' "),
        (MINIMAL + "venue: {rest_url: 'https://a b'}\n", ": venue.rest_url: "),
        (MINIMAL + "venue: {rest_url: 'http://h'}\n", "must be https://host[:port]"),
        (MINIMAL + "venue: {ws_url: 'ws://h'}\n", "must be wss://host[:port]"),
        (MINIMAL + "venue: {ca_file: no.pem}\n", "/no.pem cannot be read: No such file"),
        (MINIMAL + "venue: {ca_file: taken}\n", ": venue.ca_file: "),
        (MINIMAL + "credentials_file: no.json\n", "/no.json: cannot be read: No such file"),
        (MINIMAL + "credentials_file: taken\n", ": credentials_file: "),
        (MINIMAL + "sinks: [{directory: taken}]\n", ": sinks[0].directory: "),
        (MINIMAL + "sinks: [{directory: taken/below}]\n", "/taken is not a folder"),
        (MINIMAL + "checkpoint_directory: taken\n", ": checkpoint_directory: "),
    ],
)
@pytest.mark.usefixtures("files")
def test_a_mistake_is_named_with_file_and_key(write, text, complaint):
    """Each mistake gives one line with the place."""
    assert complaint in refusal(write(text))


def test_a_missing_file_is_named(tmp_path):
    """The message names the path and the option."""
    assert "No such file" in refusal(tmp_path / "feed-00.yaml")


def test_an_oversized_file_is_refused(write):
    """A log or a tape given by mistake is not parsed."""
    assert "is it the right file?" in refusal(write("#" * 300_000))


def test_sink_options_stay_out_of_repr():
    """Options hold database passwords."""
    sink = CryptofeedSink(channel="trades", backend="a.B", options={"pw": "hunter2"})
    assert "hunter2" not in repr(sink)


@pytest.mark.usefixtures("files")
def test_channels_and_their_options_are_read(write):
    """Private channels need the key file, and every sink may take any channel that is listed."""
    config = load_config(
        write(
            MINIMAL + "channels: [ticker, candles, balances]\n"
            "candle_interval: 1M\ndepth_window: 200ms\ncredentials_file: key.json\n"
            "sinks: [{kind: cryptofeed, channel: balances, backend: a.B}]\n"
        )
    )
    assert config.channels == ("ticker", "candles", "balances")
    assert (config.candle_interval, config.depth_window) == ("1M", "200ms")
    # without trades there is no checkpoint to keep


def test_the_password_of_a_proxy_stays_out_of_repr_and_complaints(write):
    """It is a secret like any other."""
    config = load_config(write(MINIMAL + "venue: {http_proxy: 'http://me:hunter2@proxy:3128'}\n"))
    assert config.venue.http_proxy == "http://me:hunter2@proxy:3128"
    assert "hunter2" not in repr(config)
    assert "hunter2" not in refusal(write(MINIMAL + "venue: {http_proxy: 'ftp://a:hunter2@p'}\n"))


def test_a_channel_that_the_feed_cannot_serve_is_left_out_and_named(caplog):
    """The way back to ccxt must stay open, and a silent channel must not look like a quiet one."""
    assert served_channels(["trades", "funding"], {"trades"}, "ccxt") == ("trades",)
    assert "the ccxt feed cannot serve funding" in caplog.text


def test_a_process_without_any_channel_is_refused():
    """It would run and deliver nothing."""
    with pytest.raises(ConfigError, match="serves none of funding"):
        served_channels(["funding"], {"trades"}, "ccxt")


def test_every_interval_of_the_venue_may_be_chosen():
    """And no other: a typing slip must not wait for candles that never come."""
    assert set(get_args(CandleInterval)) == set(CANDLE_INTERVALS)
    assert set(get_args(DepthWindow)) == set(DEPTH_WINDOWS)
