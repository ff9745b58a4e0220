"""What the UI calls steps and tasks, and what it says of them. Text only."""

from typing import Any

from feed_migration.model import Step
from feed_migration.words import listed

_HOLD = """**Held** means that nothing is proven: the exposure stays, the guard watches it. Read the
reasons in this task's log or on the migration's page; then clear this task *together with what
follows it* to watch the step anew, or trigger `backpack_rollback`."""

TASKS: dict[str, tuple[str, str]] = {
    "begin": (
        "Preflight",
        """Checks release, fixtures, credentials, Prometheus, guard and fleet, then begins a
migration or joins the one that is active. Nothing is written before every check has passed.

If it fails: the log names every check with its remedy. Correct it and trigger again.""",
    ),
    "tests": (
        "Integration tests",
        """Runs the native feed's integration tests against a venue that they bring themselves.

If it fails: pytest's output is in the log. Nothing was touched; the release is at fault.""",
    ),
    "auth_check": (
        "Credential check",
        """A signed request with the deployment's credentials: key format, clock drift, answer.

If it fails: the log says which of the three. Nothing was touched.""",
    ),
    "approval": (
        "Approval",
        """Asks a person, with the criteria of the last gate in view. Answer under *Required
Actions*, on the migration's page, or with `backpack-migrate approve`.

**No** and no answer in time both take every instance back to ccxt. Where that is done elsewhere, at
a shell or by the guard, the question ends within seconds.""",
    ),
    "start": (
        "Start the shadows",
        """Starts the shadow instances, which run both feeds side by side without sinks, and waits
until they are ready.""",
    ),
    "advance": (
        "Move instances",
        """Flips the flag on this step's share of the fleet, restarts these instances in batches,
and waits until they are ready. Run again, it finds them right and restarts none.

A journal that is away is waited for, for eight minutes; one that stays away before anything was
moved ends the run in a hold. If it fails otherwise: the fleet goes back by itself.""",
    ),
    "gate": (
        "Gate",
        f"""Asks Prometheus each criterion at every tick until the verdict: Promote, Hold or
Rollback. It waits in the triggerer: no worker slot is held, and it survives the restart of every
component.

*Marking it success changes nothing*: only the journal promotes. *Marking it failed* takes the fleet
back.

A journal that is away is waited for, for eight minutes; then the run ends in a hold.

{_HOLD}""",
    ),
    "stop": (
        "Stop the shadows",
        """Stops the shadow instances once their phase is proven. Refuses before.""",
    ),
    "feedback": (
        "Feedback",
        """Asks a consumer of the feed whether all is well: yes or no, and a remark. Answer under
*Required Actions*.

No answer in time is recorded as such and stops nothing. A *no* stops nothing either: it stands
first in the report and in the last notice, and a person decides whether to take the fleet back.""",
    ),
    "report": (
        "Report",
        """Verifies that the whole fleet is on native, writes the report and closes the migration.

If it fails: the fleet stays where it is; run `backpack_post_migration` again.""",
    ),
    "revert": (
        "Back to ccxt",
        """Asks the journal how this run has ended. Proven: it is skipped. Held: it fails, and the
exposure stays, also where the step is watched again by then. Otherwise every instance goes back to
ccxt, and this waits until ccxt data flows.

If it does not get there it tries again for minutes; then run `backpack-migrate rollback`.""",
    ),
    "take_back": (
        "Back to ccxt",
        """Puts every instance back on ccxt, from any state, also a held or a proven one, and waits
until ccxt data flows.

If it does not get there it tries again for minutes; then run `backpack-migrate rollback`.""",
    ),
    "document": (
        "Write the incident down",
        """Appends the failure indicators, logs and timeline to the runbook page; skipped
where there was no rollback.""",
    ),
    "verdict": (
        "Verdict",
        """Gives the DAG run its colour: green only where the journal says that its steps are
promoted. Its error says in one line what happened instead.""",
    ),
}

GROUPS = {
    "dry_run": "Dry run",
    "shadow": "Shadow",
    "cutover": "Cutover",
    "stabilisation": "Stabilisation",
    "post_migration": "Post-migration",
}

_TOOLTIPS = {
    "dry_run": "Integration tests and credential check; nothing of the fleet is touched",
    "shadow": "Both feeds side by side, read only",
    "stabilisation": "The whole fleet on native",
    "post_migration": "Feedback of consumers, report, clean-up list; closes the migration",
}
_CRITERIA_SHOWN = 6


def labelled(task: str, step: Step | None = None) -> dict[str, Any]:
    """Return `task_display_name` and `doc_md` of a task as keyword arguments."""
    label, doc = TASKS[task]
    where = f" {step.percent} %" if step is not None and step.percent else ""
    return {"task_display_name": f"{label}{where}", "doc_md": doc}


def group_label(step: Step) -> str:
    """Return what the graph calls the group of a step."""
    return f"{GROUPS[step.phase]} {step.percent} %" if step.percent else GROUPS[step.phase]


def tooltip(step: Step) -> str:
    """Return share, criteria and durations of a step in one line."""
    words = [f"{step.percent} % of the fleet on native" if step.percent else _TOOLTIPS[step.phase]]
    if step.approval:
        named = ", ".join(one.name for one in step.approvers)
        limit = duration(step.approval_timeout_seconds)
        words.append(f"asks {named or 'for approval'}, for {limit} at most")
    if step.gate is not None:
        names = [criterion.name for criterion in step.gate.criteria if criterion.decides]
        shown = listed(names, _CRITERIA_SHOWN)
        shortest = duration(step.gate.min_duration_seconds)
        longest = duration(step.gate.max_duration_seconds)
        every = duration(step.gate.interval_seconds)
        words.append(f"gate of {shortest} to {longest}, asked every {every}: {shown}")
    return "; ".join(words)


def duration(seconds: float) -> str:
    """Return `24 h`, `30 min` or `15 s`, whichever is whole."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:g} s"
