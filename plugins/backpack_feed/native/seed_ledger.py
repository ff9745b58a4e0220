"""Which is newer: what a stream told, or what REST answers? Pure.

An answer of REST says nothing about when it was true. So whatever the stream told after it was
subscribed counts as newer than any answer to a question of that subscription, and of two answers
the one to the later question.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

REMEMBERED_KEYS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Seeds:
    """What to take of an answer: `current` of what it lists, and `gone`: key → its last note."""

    current: list[str]
    gone: Mapping[str, str]
    superseded: int


@dataclass(slots=True)
class _Told:
    moment: int
    held: bool
    note: str


class SeedLedger:
    """What is known of each key, an asset or a market."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}
        self._moment = 0
        self._answered = 0

    def begin(self) -> int:
        """Call when the stream is subscribed; return what `seeds` needs."""
        self._moment += 1
        return self._moment

    def told(self, key: str, *, held: bool, note: str = "") -> None:
        """Take what the stream told of a key: whether there is anything of it."""
        self._moment += 1
        self._remember(key, _Told(self._moment, held, note))

    def seeds(self, listed: Collection[str], begun: int) -> Seeds:
        """Sort the answer to a question of the subscription that `begun`: the keys that it lists.

        Keys that are held and not listed are gone. The caller then tells `seeded` what it took.
        """
        if begun < self._answered:
            return Seeds([], {}, len(listed))
        self._answered = begun
        older = {key: told for key, told in self._told.items() if told.moment <= begun}
        current = [key for key in listed if key in older or key not in self._told]
        gone = {k: told.note for k, told in older.items() if told.held and k not in listed}
        return Seeds(current, gone, len(listed) - len(current))

    def seeded(self, key: str, begun: int, *, held: bool, note: str = "") -> None:
        """Remember what was taken of an answer."""
        self._remember(key, _Told(begun, held, note))

    def _remember(self, key: str, told: _Told) -> None:
        self._told.pop(key, None)
        self._told[key] = told
        if len(self._told) > REMEMBERED_KEYS:
            del self._told[next(iter(self._told))]
