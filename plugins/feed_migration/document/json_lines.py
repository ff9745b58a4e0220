"""Where in a JSON text each key and item stands, which the standard reader does not tell. Pure."""

import json
import re
from dataclasses import dataclass, field

type Place = tuple[str | int, ...]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|\n')
# Beyond it a place has the line of what is around it: series of a trace need no line each.
_MAX_DEPTH = 8


def json_lines(text: str) -> tuple[dict[Place, int], list[tuple[Place, int]]]:
    """The line (1 is the first) of every place, and the places of keys that are there twice.

    `text` must be what `json.loads` accepts.
    """
    walk = _Walk()
    for lexeme in _TOKEN.finditer(text):
        walk.take(lexeme[0])
    return walk.lines, walk.doubled


@dataclass
class _Open:
    """A mapping or list that is not closed yet."""

    place: Place
    is_list: bool
    part: str | int | None = None
    keys: set[str] = field(default_factory=set)


@dataclass
class _Walk:
    lines: dict[Place, int] = field(default_factory=dict)
    doubled: list[tuple[Place, int]] = field(default_factory=list)
    line: int = 1
    stack: list[_Open] = field(default_factory=list)

    def take(self, lexeme: str) -> None:
        if lexeme == "\n":
            self.line += 1
        elif lexeme in "{[":
            self._value()
            self.stack.append(_Open(self._place(), lexeme == "["))
        elif lexeme in "}]":
            self.stack.pop()
        elif lexeme == "," and not self.stack[-1].is_list:
            self.stack[-1].part = None
        elif lexeme not in ",:":
            self._text(lexeme)

    def _text(self, lexeme: str) -> None:
        if self.stack and not self.stack[-1].is_list and self.stack[-1].part is None:
            self._key(json.loads(lexeme))
        else:
            self._value()

    def _key(self, name: str) -> None:
        around = self.stack[-1]
        around.part = name
        if name in around.keys:
            self.doubled.append((self._place(), self.line))
        around.keys.add(name)
        self._note()

    def _value(self) -> None:
        if self.stack and not self.stack[-1].is_list:
            return
        if self.stack:
            last = self.stack[-1].part
            self.stack[-1].part = last + 1 if isinstance(last, int) else 0
        self._note()

    def _place(self) -> Place:
        if not self.stack:
            return ()
        around = self.stack[-1]
        return around.place if around.part is None else (*around.place, around.part)

    def _note(self) -> None:
        if len(self.stack) <= _MAX_DEPTH:
            self.lines.setdefault(self._place(), self.line)
