"""pydantic's findings as problems of a document: each at its line, with the key that was meant."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from feed_migration.document.json_lines import Place
from feed_migration.document.reader import Document, Problem, dotted

_TEXT_LIMIT = 60
RULE_KEYS = ("max_duration", "min_duration")
"""The keys of a gate that one rule binds together; the first is the one to name."""


def validated[M: BaseModel](
    document: Document, model: type[M], data: Any, place: Place, *, inherited: Place | None = None
) -> M | None:
    """`data` as a `model`, or None with the problems noted in `document`.

    A key that the file has not at `place` is looked for at `inherited` (the plan's defaults).
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            inner = _plain(detail["loc"])
            where = (*place, *inner)
            if inherited is not None and (found := _inherited(document, model, place, inner)):
                where = (*inherited, *found)
            if detail["type"] == "missing":
                document.problems.append(_missing(document, place, inner))
            else:
                document.complain(where, _text(model, detail, inner))
        return None


def meant(word: str, known: Iterable[str]) -> str:
    """` (did you mean …?)`, or nothing where no known word is near."""
    close = nearest(word, known)
    return "" if close is None else f" (did you mean {close!r}?)"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` is or was meant to be, or None."""
    return next(iter(get_close_matches(word, sorted(known), n=1)), None)


def _inherited(document: Document, model: type[BaseModel], place: Place, inner: Place) -> Place:
    """Where in the defaults the culprit is, or () if the mapping itself has it."""
    if inner:
        return inner if (*place, inner[0]) not in document.lines else ()
    # a rule over several keys: the defaults are at fault where the mapping says nothing of them
    keys = [key for key in RULE_KEYS if key in model.model_fields]
    own = any((*place, key) in document.lines for key in keys)
    return () if own else tuple(keys[:1])


def _plain(location: tuple[int | str, ...]) -> Place:
    # pydantic marks the key of a mapping, where it is the key that is wrong
    return tuple(part for part in location if part != "[key]")


def _missing(document: Document, place: Place, inner: Place) -> Problem:
    where = (*place, *inner)
    return Problem(document.line(where[:-1]), dotted(where), "required key is missing")


def _text(model: type[BaseModel], detail: ErrorDetails, inner: Place) -> str:
    if detail["type"] == "extra_forbidden":
        return f"unknown key{meant(str(inner[-1]), _keys(model, inner[:-1]))}"
    if detail["type"] == "too_short":
        return "must not be empty"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if detail["type"] in {"value_error", "assertion_error"}:
        return message
    return f"{message}, was {str(detail['input'])[:_TEXT_LIMIT]!r}"


def _keys(model: type[BaseModel], place: Place) -> tuple[str, ...]:
    """The keys that the mapping at `place` inside of `model` may have."""
    current: Any = model
    for part in place:
        if isinstance(part, str):
            current = current.model_fields[part].annotation
        current = next(_models(current))
    return tuple(current.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
