"""The plan that `make rehearsal` makes from another: a person is asked before what exposes."""

from pathlib import Path

import pytest

from feed_migration.plan.reader import PlanError, load_plan
from tools.demo.layout import Layout
from tools.demo.rehearsal import write_asking_plan
from tools.demo.stack import empty_home

PLANS = Path(__file__).parents[2] / "plans"


@pytest.mark.parametrize("name", ["demo", "production"])
def test_every_step_that_exposes_asks_and_keeps_its_criteria(tmp_path, name):
    """Shares and stabilisation wait for an approval; what the gates ask is the original's."""
    original = load_plan(PLANS / f"{name}.yaml")
    made = load_plan(write_asking_plan(PLANS / f"{name}.yaml", Layout(tmp_path)))
    asking = [step.name for step in made.steps if step.approval]
    assert asking == ["cutover-10", "cutover-50", "cutover-100", "stabilisation"]
    assert [_criteria(step) for step in made.steps] == [_criteria(step) for step in original.steps]


def test_the_plan_outlives_the_emptying_of_the_state_directory(tmp_path):
    """The stack empties its home before Airflow reads the plan."""
    layout = Layout(tmp_path / "var")
    path = write_asking_plan(PLANS / "demo.yaml", layout)
    empty_home(layout)
    load_plan(path)


def test_a_plan_with_a_mistake_is_refused_before_anything_starts(tmp_path):
    """The error names the original file."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: broken\n")
    with pytest.raises(PlanError, match=r"broken\.yaml"):
        write_asking_plan(broken, Layout(tmp_path / "var"))


def _criteria(step):
    return step.gate and [criterion.name for criterion in step.gate.criteria]
