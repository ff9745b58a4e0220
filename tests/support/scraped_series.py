"""What a Prometheus keeps of scrapes, good and failed ones, written to it by its remote write.

A failed scrape leaves `up` at 0 and a staleness marker in every other series, which no file that
`promtool` reads can hold.
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping

import requests

STALE = struct.pack("<Q", 0x7FF0_0000_0000_0002)

type Labels = tuple[tuple[str, str], ...]
type Values = list[tuple[float, bytes]]


class ScrapedTarget:
    """One target's series, scrape by scrape."""

    def __init__(self, target: Mapping[str, str]) -> None:
        self._target = target
        self.series: dict[Labels, Values] = defaultdict(list)

    def scraped(
        self, at_unix: float, samples: Iterable[tuple[str, Mapping[str, str], float]]
    ) -> None:
        """The target answered with these: name, labels, value."""
        self._add(at_unix, "up", {}, 1.0)
        for name, labels, value in samples:
            self._add(at_unix, name, labels, value)

    def failed(self, at_unix: float) -> None:
        """The target did not answer."""
        self._add(at_unix, "up", {}, 0.0)
        for labels, values in self.series.items():
            if ("__name__", "up") not in labels and values[-1][1] != STALE:
                values.append((at_unix, STALE))

    def _add(self, at_unix: float, name: str, labels: Mapping[str, str], value: float) -> None:
        key = tuple(sorted({"__name__": name, **self._target, **labels}.items()))
        self.series[key].append((at_unix, struct.pack("<d", value)))


def remote_write(url: str, targets: Iterable[ScrapedTarget]) -> None:
    """Give it all to a Prometheus that was started with `--web.enable-remote-write-receiver`."""
    body = b"".join(
        _field(1, _time_series(labels, values))
        for target in targets
        for labels, values in target.series.items()
    )
    reply = requests.post(
        f"{url}/api/v1/write",
        data=_unpressed_snappy(body),
        headers={"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"},
        timeout=30,
    )
    assert reply.ok, reply.text


def _time_series(labels: Labels, values: Values) -> bytes:
    told = [_field(1, _field(1, k.encode()) + _field(2, v.encode())) for k, v in labels]
    samples = [
        _field(2, b"\x09" + value + b"\x10" + _varint(round(at_unix * 1000)))
        for at_unix, value in values
    ]
    return b"".join(told + samples)


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _unpressed_snappy(body: bytes) -> bytes:
    """Snappy's block format with literals only."""
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    literals = [b"\xf4" + struct.pack("<H", len(piece) - 1) + piece for piece in pieces]
    return _varint(len(body)) + b"".join(literals)
