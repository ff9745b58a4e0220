"""YAML and JSON files as plain data that remembers the line of every key and item.

Only mappings, lists, texts, numbers, booleans and null; bounded in size, depth and aliases, so that
no file can exhaust the reader.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from feed_migration.document.json_lines import Place, json_lines
from feed_migration.errors import UsageError

PLAN_BYTES = 262_144
PLAN_NODES = 50_000
MAX_DEPTH = 40
_TAG: Final = "tag:yaml.org,2002:"
_PLAIN_TAGS: Final = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "null"))
_CONTAINERS: dict[type[yaml.Node], str] = {
    yaml.MappingNode: _TAG + "map",
    yaml.SequenceNode: _TAG + "seq",
}
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: its line (1 is the first), the key it is about, and what is wrong."""

    line: int
    where: str
    text: str

    def __str__(self) -> str:
        return (
            f"{self.line}: {self.where}: {self.text}" if self.where else f"{self.line}: {self.text}"
        )


class PlanError(UsageError):
    """A file that means nothing; one line per problem, `path:line: key: what is wrong`."""

    def __init__(self, path: Path | str, problems: Iterable[Problem]) -> None:
        self.path = Path(path)
        self.problems = tuple(sorted(set(problems)))
        self.line = self.problems[0].line
        super().__init__("\n".join(f"{path}:{problem}" for problem in self.problems))


@dataclass
class Document:
    """Plain data, and the line of each place in it; `problems` collects what is wrong."""

    path: Path
    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest one around it that is in the file."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def complain(self, place: Place, text: str) -> None:
        """Note a problem at a place."""
        self.problems.append(Problem(self.line(place), dotted(place), text))

    def check(self) -> None:
        """Raise PlanError if anything is wrong."""
        if self.problems:
            raise PlanError(self.path, self.problems)


def dotted(place: Sequence[str | int]) -> str:
    """A place as text: `phases.cutover.steps[0].percent`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return "".join(parts).removeprefix(".")


def read_document(
    path: Path, *, max_bytes: int = PLAN_BYTES, max_nodes: int = PLAN_NODES
) -> Document:
    """Read a YAML or JSON file; raises PlanError when there is no data in it at all.

    Doubled keys and foreign tags are left in `problems`, for the caller to report with its own.
    """
    document = Document(path)
    text = _text(path, max_bytes)
    if text.lstrip().startswith("{") and path.suffix == ".json":
        _read_json(document, text)
    else:
        _read_yaml(document, text, max_nodes)
    return document


def _text(path: Path, max_bytes: int) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise PlanError(path, [Problem(1, "", f"larger than {max_bytes} bytes")])
        return content.decode()
    except OSError as error:
        raise PlanError(path, [Problem(1, "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise PlanError(path, [Problem(1, "", "is not UTF-8 text")]) from error


def _read_json(document: Document, text: str) -> None:
    try:
        document.data = json.loads(text)
    except json.JSONDecodeError as error:
        raise PlanError(document.path, [Problem(error.lineno, "", error.msg)]) from error
    except (RecursionError, ValueError) as error:
        raise PlanError(document.path, [Problem(1, "", f"unreadable JSON: {error}")]) from error
    document.lines, doubled = json_lines(text)
    document.problems += [Problem(line, dotted(place), "doubled key") for place, line in doubled]


def _read_yaml(document: Document, text: str, max_nodes: int) -> None:
    try:
        _bound(document.path, text, max_nodes)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise PlanError(document.path, [Problem(line, "", f"no YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        first_line = str(error).splitlines()[0]
        raise PlanError(document.path, [Problem(1, "", f"no YAML: {first_line}")]) from error
    if node is None:
        raise PlanError(document.path, [Problem(1, "", "is empty")])
    document.data = _Reader(document, max_nodes).value(node, ())


def _bound(path: Path, text: str, max_nodes: int) -> None:
    """Refuse depth and size on the stream of events, before anything recursive sees them."""
    depth = 0
    for nodes, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or nodes > max_nodes:
            what = f"deeper than {MAX_DEPTH} levels" if depth > MAX_DEPTH else "too many values"
            raise PlanError(path, [Problem(_line(event), "", what)])


def _line(marked: yaml.Node | yaml.Event) -> int:
    return marked.start_mark.line + 1 if marked.start_mark else 1


class _Reader:
    """Nodes to data. An alias is read anew at each use, so `max_nodes` bounds the expansion."""

    def __init__(self, document: Document, max_nodes: int) -> None:
        self._document = document
        self._left = max_nodes
        self._scalars = yaml.SafeLoader("")

    def value(self, node: yaml.Node, place: Place) -> Any:
        self._left -= 1
        if self._left < 0 or len(place) > MAX_DEPTH:
            problem = Problem(_line(node), dotted(place), "aliases expand too far")
            raise PlanError(self._document.path, [problem])
        self._document.lines.setdefault(place, _line(node))
        expected = _CONTAINERS.get(type(node))
        if node.tag != expected and node.tag not in _PLAIN_TAGS:
            self._document.complain(
                place, f"{node.tag.removeprefix(_TAG)!r} values are not allowed"
            )
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> Mapping[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            if key_node.tag != _TAG + "str":
                where = dotted((*place, str(key_node.value)))
                problem = Problem(line, where, "a key must be text; quote it")
                self._document.problems.append(problem)
                continue
            inner = (*place, key_node.value)
            if key_node.value in result:
                self._document.problems.append(Problem(line, dotted(inner), "doubled key"))
                continue
            self._document.lines[inner] = line
            result[key_node.value] = self.value(value_node, inner)
        return result

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        try:
            return self._scalars.construct_object(node)
        except (ValueError, OverflowError, yaml.YAMLError):
            self._document.complain(place, f"not a value: {str(node.value)[:40]!r}")
            return None
