"""What each event of the journal tells, in words: for the log, timelines and `status`. Pure.

A body may be of another version, or written by hand: whatever is odd in it is left out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from feed_migration.driving import WAY_BACK
from feed_migration.events import (
    SPOOLED,
    UNPROVEN,
    Event,
    EventKind,
    body_mapping,
    body_mappings,
    body_names,
    body_number,
)
from feed_migration.markdown import utc
from feed_migration.model import Decision
from feed_migration.words import act_words, counted, gone_words, since_words, span, step_words

Body = Mapping[str, Any]
_KEY_SHOWN = 12


def describe(event: Event) -> str:
    """Return in words what happened; "" where nothing in the body says it."""
    body = event.body
    if event.kind == EventKind.AUDIT_NOTE:
        told = _NOTES.get(str(body.get("note")), _other_note)(body)
    else:
        told = _KINDS.get(event.kind, _other)(body)
    return told.strip()


def _started(body: Body) -> str:
    steps = body.get("steps")
    count = f", {counted(len(steps), 'step')}" if isinstance(steps, list) else ""
    return f"plan {body.get('plan', 'unknown')}{count}"


def _step_started(body: Body) -> str:
    # a step that begins without a key is work on it, and no run of its gate
    if "key" in body:
        return f"{_step(body)}: its gate begins to watch{_run(body)}"
    return f"{_step(body)}: the step begins"


def _intended(body: Body) -> str:
    return f"{_step(body)}: to do: {act_words(body)}"


def _confirmed(body: Body) -> str:
    return f"{_step(body)}: done: {act_words(body, done=True)}"


def _verdict(body: Body) -> str:
    at = body_number(body, "at_seconds")
    after = "" if at is None else f" after {span(at)}"
    head = f"{_step(body)}{_run(body)}: {body.get('decision', 'no decision')}{after}"
    reasons = [str(one.get("text") or "") for one in body_mappings(body, "reasons")]
    if body.get("decision") == Decision.PROMOTE:
        proven = f", {len(reasons)} {'criterion' if len(reasons) == 1 else 'criteria'} proven"
        return head + (proven if reasons else "")
    return _because(head, "; ".join(filter(None, reasons)))


def _approval(body: Body) -> str:
    decision = str(body.get("decision", ""))
    words = {"Approve": "approved", "Reject": "rejected", "Promote": "promoted by a person"}
    return _because(f"{_step(body)}: {words.get(decision, decision)}", body.get("reason"))


def _promoted(body: Body) -> str:
    return f"{_step(body)} has passed{_run(body)}"


def _held(body: Body) -> str:
    return _because(_step(body), body.get("reason"))


def _rollback_started(body: Body) -> str:
    named = body_names(body)
    concerned = f"{counted(len(named))} to verify on ccxt" if named else "the fleet goes back"
    return _because(concerned, body.get("reason"))


def _rollback_act(body: Body) -> str:
    done = body.get("state") == "confirmed"
    return f"{'done' if done else 'to do'}: {act_words(body, done=done)}"


def _verified(body: Body) -> str:
    took = body_number(body, "breach_to_rollback_seconds")
    # a journal of before this was kept says nothing of it
    breached = body.get("breached", True) is True
    after = "" if took is None else f", {since_words(took, breached=breached)}"
    gone = gone_words(body_names(body, "gone"))
    return f"ccxt data flows on {counted(len(body_names(body)))}{after}" + (gone and f"; {gone}")


def _documented(body: Body) -> str:
    return f"written to {body.get('path', 'the incident page')}"


def _finished(body: Body) -> str:
    return f"outcome: {step_words(body.get('outcome', 'unknown'))}"


def _asked(body: Body) -> str:
    until = body_number(body, "until")
    rule = "" if until is None else f"; no answer by {utc(until)} is a No"
    return f"{_step(body)}: approval asked{rule}"


def _feedback_asked(body: Body) -> str:
    return f"{body.get('consumer', 'a consumer')} is asked for feedback"


def _feedback(body: Body) -> str:
    healthy = body.get("healthy")
    said = "all is well" if healthy is True else "NOT well" if healthy is False else "no answer"
    return _because(f"{body.get('consumer', 'a consumer')}: {said}", body.get("remark"))


def _joined(body: Body) -> str:
    who = f"DAG run {body.get('dag_id', '')} {body.get('run_id', '')} drives the migration"
    return _because(who, body.get("reason"))


def _way_back(body: Body) -> str:
    return f"DAG run {body.get('dag_id', '')} {body.get('run_id', '')} takes the fleet back"


def _human_act(body: Body) -> str:
    # Airflow logs a request before it carries it out, one that it then refuses as well
    where = body.get("task_id") or body.get("run_id") or body.get("dag_id") or ""
    asked = f"asked of Airflow by hand: {body.get('act', 'an act')} {where}".rstrip()
    return _because(asked, body_mapping(body, "details").get("reason"))


def _refused(body: Body) -> str:
    return f"refused: {body.get('text', body.get('error', ''))}"


def _unproven(body: Body) -> str:
    return _because("NOT proven on ccxt", body.get("why"))


def _spooled(body: Body) -> str:
    kind = step_words(body.get("kind"))
    return _because(f"out of a spool, after the proof of others: {kind}", body.get("reason"))


def _resumed(body: Body) -> str:
    return _because(f"{_step(body)}: resumed, its gate watches anew", body.get("reason"))


def _unsent(body: Body) -> str:
    name = body.get("channel", "a channel")
    return f"channel {name} did not take {body.get('notice', 'a notice')}: {body.get('error', '')}"


def _shell(body: Body) -> str:
    return _because(f"at a shell: backpack-migrate {body.get('command', '')}", body.get("reason"))


def _measured(body: Body) -> str:
    seals = body_number(body_mapping(body, "measured"), "seals")
    return f"{_step(body)}{_run(body)}: measurements recorded {seals or 0:g} times so far"


def _restored(body: Body) -> str:
    return _because("the journal's database was restored", body.get("reason"))


def _key(body: Body) -> str:
    return f"signing key made, public key {str(body.get('public_key', ''))[:_KEY_SHOWN]} …"


def _other_note(body: Body) -> str:
    if "check" not in body:
        return _other(body)
    code = body.get("exit_code")
    said = "passed" if code == 0 else f"failed with exit code {code}"
    check = step_words({"tests": "integration tests"}.get(str(body["check"]), body["check"]))
    return f"{_step(body)}: {check} {said}"


def _other(body: Body) -> str:
    keys = ("note", "step", "act", "state", "variant", "decision", "outcome", "command", "reason")
    words = [str(body[key]) for key in keys if body.get(key)]
    named = body_names(body)
    return ", ".join([*words, *([counted(len(named))] if named else [])])


def _step(body: Body) -> str:
    return step_words(body.get("step") or "a step")


def _run(body: Body) -> str:
    return f", run {body['run']}" if body.get("run") else ""


def _because(head: str, reason: object) -> str:
    return f"{head}: {reason}" if reason else head


_KINDS: Mapping[str, Callable[[Body], str]] = {
    EventKind.MIGRATION_STARTED: _started,
    EventKind.STEP_STARTED: _step_started,
    EventKind.ACT_INTENDED: _intended,
    EventKind.ACT_CONFIRMED: _confirmed,
    EventKind.VERDICT: _verdict,
    EventKind.APPROVAL: _approval,
    EventKind.STEP_PROMOTED: _promoted,
    EventKind.HELD: _held,
    EventKind.ROLLBACK_STARTED: _rollback_started,
    EventKind.ROLLBACK_ACT: _rollback_act,
    EventKind.ROLLBACK_VERIFIED: _verified,
    EventKind.INCIDENT_DOCUMENTED: _documented,
    EventKind.MIGRATION_FINISHED: _finished,
}
_NOTES: Mapping[str, Callable[[Body], str]] = {
    "approval_asked": _asked,
    "feedback_asked": _feedback_asked,
    "feedback": _feedback,
    "joined": _joined,
    WAY_BACK: _way_back,
    "human_act": _human_act,
    "refused": _refused,
    UNPROVEN: _unproven,
    SPOOLED: _spooled,
    "resumed": _resumed,
    "notice_failed": _unsent,
    "shell": _shell,
    "measured": _measured,
    "restored": _restored,
    "signing key": _key,
}
