"""Who is responsible for an act: the person behind the DAG run, never the machinery."""

from collections.abc import Mapping
from typing import Any

UNKNOWN = "unknown"


def actor_of(context: Mapping[str, Any]) -> str:
    """Return the name of the user who triggered the DAG run (`dag_run.triggering_user_name`)."""
    name = getattr(context.get("dag_run"), "triggering_user_name", None)
    return str(name) if name else UNKNOWN


def run_key(context: Mapping[str, Any]) -> str:
    """Return the identity of one attempt at a DAG run: it changes when a person clears tasks.

    A retry and a rerun after a crash keep the key, so that they resume what they began.
    """
    dag_run = context["dag_run"]
    return f"{dag_run.dag_id}/{dag_run.run_id}#{dag_run.clear_number or 0}"
