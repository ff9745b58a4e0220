"""YAML as a configuration may use it: plain keys, each once, no aliases, an error with its line."""

from pathlib import Path
from typing import Any

import yaml

from backpack_feed.refusal import ConfigError

# what PyYAML's constructors let through for a value that is not of its tag
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError)


def parse_mapping(path: Path, raw: bytes) -> Any:
    """Return the document in `raw`; raises `ConfigError` naming `path` and the line at fault."""
    try:
        document = _StrictLoader(raw).get_single_data()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        raise ConfigError(
            f"{path}: is not a text file (byte {error.position}): name the YAML file of an instance"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply: is it the right file?") from error
    if document is None:
        raise ConfigError(
            f"{path}: is empty: write a mapping with at least instance_id and symbols"
        )
    return document


class _StrictLoader(yaml.SafeLoader):
    """`SafeLoader` without aliases (no alias bombs) and without repeated or compound keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None,
                None,
                "aliases are not allowed",
                self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: Any, deep: bool = False) -> Any:  # noqa: ARG002 - see below
        try:
            # deep, so that what a lazy constructor raises is met here as well
            return super().construct_object(node, deep=True)
        except _MALFORMED as error:
            kind = node.tag.rpartition(":")[2]
            what = repr(node.value[:40]) if isinstance(node, yaml.ScalarNode) else "this"
            raise yaml.constructor.ConstructorError(
                None, None, f"{what} is no {kind}: correct it, or quote a text", node.start_mark
            ) from error

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be plain text", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)
