"""docs/plan.md against the code: every key with its type, default and bounds, both ways."""

import re
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import pytest
import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from feed_migration.plan import schema as plan_schema
from feed_migration.plan.reader import load_plan
from feed_migration.plan.schema import PlanSpec
from feed_migration.plan.types import Spec, seconds_of
from tests.support.markdown_tables import tables, ticked

PAGE = Path(__file__).parents[2] / "docs" / "plan.md"
SECTIONS = {
    "PlanSpec": "Plan",
    "PhasesSpec": "Phases",
    "BareStepSpec": "Step",
    "GatedStepSpec": "Gated step",
    "CutoverSpec": "Cutover",
    "CutoverStepSpec": "Cutover step",
    "GateSpec": "Gate",
    "ThresholdSpec": "Thresholds",
    "CriterionSpec": "Criterion",
    "BandSpec": "Band",
    "FailureWindowSpec": "Failure window",
    "ComparisonSpec": "Comparison",
    "ObjectiveSpec": "Objective",
}
MODELS = {
    name: model
    for name, model in vars(plan_schema).items()
    if isinstance(model, type) and issubclass(model, Spec) and model is not Spec
}
ROWS = {
    heading: {ticked(row["Key"])[0]: row for row in rows}
    for heading, rows in tables(PAGE.read_text()).items()
    if rows and "Key" in rows[0]
}
KEYS = [(name, key) for name, model in MODELS.items() for key in model.model_fields]


def unwrapped(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any]]:
    """A type without Annotated and None, and everything that was said of it."""
    if get_origin(annotation) in {Union, types.UnionType}:
        inner = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(inner) == 1:
            return unwrapped(inner[0], metadata)
    if get_origin(annotation) is Annotated:
        base, *more = get_args(annotation)
        return unwrapped(base, metadata + more)
    flat = []
    for one in metadata:
        flat += one.metadata if isinstance(one, FieldInfo) else [one]
    return annotation, flat


def validators(metadata: list[Any]) -> set[str]:
    return {one.func.__name__ for one in metadata if hasattr(one, "func")}


TYPES_BY_VALIDATOR = {
    "seconds_of": "duration",
    "_promql": "query",
    "series_count": "number or `fleet`",
}
PLAIN_TYPES = {bool: "flag", str: "text", float: "number"}
BOUNDS_BY_VALIDATOR = {"_positive": "at least 0.1s", "series_count": "at least 1"}
BOUNDS = (
    (annotated_types.Ge, "ge", "at least"),
    (annotated_types.Gt, "gt", "above"),
    (annotated_types.Le, "le", "at most"),
    (annotated_types.Lt, "lt", "below"),
)


def type_of(key: str, field: FieldInfo) -> str:
    """The type as the page calls it."""
    annotation, metadata = unwrapped(field.annotation, list(field.metadata))
    for validator in validators(metadata):
        if validator in TYPES_BY_VALIDATOR:
            return TYPES_BY_VALIDATOR[validator]
    if any(getattr(one, "pattern", None) for one in metadata):
        return "name"
    if annotation is int:
        return "count" if annotated_types.Ge(0) in metadata else "integer"
    return PLAIN_TYPES.get(annotation) or shape_of(key, annotation)


def shape_of(key: str, annotation: Any) -> str:
    """Of a choice, a list, a mapping or a model; what is read elsewhere is called as its key."""
    origin = get_origin(annotation)
    if origin is list:
        item, _ = unwrapped(get_args(annotation)[0], [])
        return f"list of {SECTIONS[item.__name__].lower()}s" if is_model(item) else "list"
    if is_model(annotation):
        return SECTIONS[annotation.__name__].lower()
    return {Literal: "choice", dict: "mapping"}.get(origin, key)


def bounds_of(field: FieldInfo) -> str:
    """The bounds as the page tells them; of texts it says them once, under "Type"."""
    annotation, metadata = unwrapped(field.annotation, list(field.metadata))
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if told := [BOUNDS_BY_VALIDATOR[v] for v in validators(metadata) if v in BOUNDS_BY_VALIDATOR]:
        return told[0]
    if get_origin(annotation) is list:
        lengths = [one.min_length for one in metadata if hasattr(one, "min_length")]
        return "".join(f"at least {length}" for length in lengths)
    kinds = {type(one): one for one in metadata}
    if {annotated_types.Ge, annotated_types.Le} <= set(kinds):
        return f"{kinds[annotated_types.Ge].ge} … {kinds[annotated_types.Le].le}"
    found = [f"{word} {getattr(kinds[kind], at)}" for kind, at, word in BOUNDS if kind in kinds]
    return ", ".join(found)


def default_of(field: FieldInfo) -> Any:
    return ... if field.is_required() else field.get_default(call_default_factory=True)


def told_default(cell: str, *, duration: bool) -> Any:
    """A cell of the column "Default" as a value."""
    words = {"required": ..., "–": None, "empty": ""}
    if cell in words:
        return words[cell]
    text = ticked(cell)[0]
    return seconds_of(text) if duration else yaml.safe_load(text)


def test_every_model_has_a_section_and_every_section_a_model():
    """A model that is added to the schema is missed here."""
    assert set(MODELS) == set(SECTIONS)
    assert set(ROWS) == set(SECTIONS.values())


@pytest.mark.parametrize("name", MODELS)
def test_keys_are_those_of_the_code(name):
    """Both ways."""
    assert set(ROWS[SECTIONS[name]]) == set(MODELS[name].model_fields)


@pytest.mark.parametrize(("name", "key"), KEYS)
def test_type_default_and_bounds_are_those_of_the_code(name, key):
    """Of every key."""
    field, row = MODELS[name].model_fields[key], ROWS[SECTIONS[name]][key]
    assert (row["Type"], row["Bounds"]) == (type_of(key, field), bounds_of(field))
    told = told_default(row["Default"], duration=row["Type"] == "duration")
    default = default_of(field)
    assert told == (default if default not in ([], {}) else "")
    assert row["Meaning"]


@pytest.mark.parametrize(("name", "key"), KEYS)
def test_examples_are_valid(name, key):
    """As YAML, by the model's own validation; only the phases as a whole have none."""
    field, row = MODELS[name].model_fields[key], ROWS[SECTIONS[name]][key]
    if (name, key) == ("PlanSpec", "phases"):
        assert row["Example"] == ""
        return
    whole = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    adapter = TypeAdapter(whole, config=None if is_spec(field) else {"strict": True})
    adapter.validate_python(yaml.safe_load(ticked(row["Example"])[0]))


def is_spec(field: FieldInfo) -> bool:
    return is_model(unwrapped(field.annotation, [])[0])


def is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def test_the_whole_one_is_a_plan(tmp_path):
    """The last example, from the file as `plan check` reads it."""
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    path = tmp_path / "plan.yaml"
    path.write_text(example)
    assert [step.name for step in load_plan(path).steps][2:5] == [
        "shadow",
        "cutover-50",
        "cutover-100",
    ]
    assert PlanSpec.model_validate(yaml.safe_load(example))
