"""Looks for secrets in what a place holds, however it is encoded or compressed."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from tests.secrecy.encodings import MIN_NEEDLE_BYTES, Secret, needles
from tests.secrecy.layers import layers

# Fibonacci hashing: the upper 16 bits of a product say whether a word may begin a needle
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(48)


@dataclass(frozen=True)
class Place:
    """What is looked at: the `kind` of place, its `name`, and what it holds."""

    kind: str
    name: str
    content: bytes


@dataclass(frozen=True, order=True)
class Finding:
    """`secret` was found in a place, in `form`."""

    kind: str
    place: str
    secret: str
    form: str

    def __str__(self) -> str:
        return f"{self.secret} ({self.form}) in {self.kind} {self.place}"


class Search:
    """Looks for some secrets in any number of places; a thousand needles cost what one costs."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._needles: dict[int, list[tuple[bytes, str, str]]] = defaultdict(list)
        for secret in secrets:
            for needle, form in needles(secret).items():
                word = int.from_bytes(needle[:MIN_NEEDLE_BYTES], "little")
                self._needles[word].append((needle, secret.name, form))
        self._likely = np.zeros(1 << 16, dtype=bool)
        self._likely[_hashes(np.array(list(self._needles), dtype="<u8"))] = True

    def findings(self, places: Iterable[Place]) -> list[Finding]:
        """One finding for each secret in each place, with one form that it was found in."""
        found: dict[tuple[str, str, str], str] = {}
        for place in places:
            for data in layers(place.content):
                for secret, form in self._found(data):
                    found.setdefault((place.kind, place.name, secret), form)
        return sorted(Finding(*where, form) for where, form in found.items())

    def _found(self, data: bytes) -> Iterator[tuple[str, str]]:
        for word in self._beginnings(data):
            for needle, secret, form in self._needles[word]:
                if needle in data:
                    yield secret, form

    def _beginnings(self, data: bytes) -> set[int]:
        """The first words of needles that are in `data`, at any of the eight alignments."""
        beginnings: set[int] = set()
        for offset in range(min(MIN_NEEDLE_BYTES, len(data))):
            count = (len(data) - offset) // MIN_NEEDLE_BYTES
            words = np.frombuffer(data, "<u8", count, offset)
            beginnings.update(words[self._likely[_hashes(words)]].tolist())
        return beginnings & self._needles.keys()


def _hashes(words: "np.typing.NDArray[np.uint64]") -> "np.typing.NDArray[np.uint64]":
    return (words * _FACTOR) >> _SHIFT
