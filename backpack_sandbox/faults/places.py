"""Reading YAML so that an error can name its line."""

import re
from typing import Any, Final

import yaml

from backpack_sandbox.errors import SandboxError

_AT: Final = re.compile(r" - at `(\$[^`]*)`\Z")


class PlacedDocument:
    """A YAML document: its `value`, and where in the file each part of it stands."""

    def __init__(self, text: str, file: str) -> None:
        """SandboxError naming file and line when the text is no YAML, or has a key twice."""
        self._file = file
        self._lines: dict[str, int] = {}
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            self.value: Any = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise SandboxError(f"{file}:{line}: {error.problem or 'no YAML'}") from error
        except yaml.YAMLError as error:
            raise SandboxError(f"{file}: {error}") from error
        if node is not None:
            self._note(node, "$")

    def complaint(self, message: str, path: str = "$") -> SandboxError:
        """The error of `message` at `path`, and at the path below it that msgspec put behind it."""
        if found := _AT.search(message):
            path, message = path + found[1][1:], message[: found.start()]
        place = path
        while place not in self._lines and place != "$":
            place = place[: max(place.rfind("."), place.rfind("["))]
        where = f"{self._file}:{self._lines.get(place, 1)}"
        return SandboxError(f"{where}: {path[2:] or 'scenario'}: {message}")

    def _note(self, node: yaml.Node, path: str) -> None:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            for index, child in enumerate(node.value):
                self._note(child, f"{path}[{index}]")
        elif isinstance(node, yaml.MappingNode):
            for key, child in node.value:
                place = f"{path}.{key.value}"
                if place in self._lines:
                    raise SandboxError(
                        f"{self._file}:{key.start_mark.line + 1}: {place[2:]}: is there twice"
                    )
                self._lines[place] = key.start_mark.line + 1
                self._note(child, place)
