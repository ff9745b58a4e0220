"""What a FeedHandler says of itself: GET /snapshot → `InstanceStatus`. Never raises.

A rollback looks before it acts, so a look at a whole fleet has an end, too: the more instances are
silent, the less is waited for the next one, and who was not heard by then is silent.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from http.client import HTTPException
from typing import Any, NoReturn

from feed_migration.deployment import Instance
from feed_migration.fleet.at_once import MAX_THREADS, ask_at_once
from feed_migration.fleet.base import InstanceStatus
from feed_migration.fleet.one_get import NotOk, get
from feed_migration.whole_body import EndlessReply

TIMEOUT_SECONDS = 2.0
# Even a name server that hangs, which no time-out ends, holds nobody up for longer
LOOK_SECONDS = 10.0
# Of a thousand instances that swallow packets, the first of each thread have the whole time-out
_HURRY = 8.0
# That of every market and channel has some 100 kB
ANSWER_BYTES = 4 * 1024 * 1024
_VARIANTS = frozenset({"ccxt", "native", "shadow"})
# What is kept of reasons goes into messages for people
_MOST_REASONS = 100
_REASON_LENGTH = 300


def read_statuses(
    instances: Sequence[Instance],
    timeout_seconds: float = TIMEOUT_SECONDS,
    look_seconds: float = LOOK_SECONDS,
) -> tuple[InstanceStatus, ...]:
    """Ask all `instances` at once; one that does not answer in time is `unknown` and not ready."""
    look = _Look(timeout_seconds)
    late = f"not heard within {look_seconds:g} s"
    return tuple(
        _silent(instance, late) if answer is None else answer.result()
        for instance, answer in zip(
            instances, ask_at_once(instances, look.read, seconds=look_seconds), strict=True
        )
    )


class _Look:
    """One look at a fleet, by several threads."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._swallowed: list[str] = []

    def read(self, instance: Instance) -> InstanceStatus:
        """Ask one instance."""
        many = len(self._swallowed) >= MAX_THREADS
        seconds = self._timeout_seconds / _HURRY if many else self._timeout_seconds
        try:
            raw = get(f"{instance.url}/snapshot", seconds=seconds, most_bytes=ANSWER_BYTES)
            return parse_snapshot(instance, _decoded(raw))
        except TimeoutError:
            self._swallowed.append(instance.id)
            return _silent(instance, f"no answer within {seconds:g} s")
        except OSError:
            return _silent(instance, "does not listen")
        except (EndlessReply, NotOk) as error:
            return _silent(instance, str(error))
        except HTTPException as error:
            return _silent(instance, f"speaks no HTTP ({_words(error)})")
        except Exception as error:  # noqa: BLE001 - whatever it says, the fleet is looked at
            return _silent(instance, f"the answer cannot be read ({_words(error)})")


def _decoded(raw: bytes) -> Mapping[str, Any]:
    answer = json.loads(raw, parse_constant=_no_number)
    if not isinstance(answer, Mapping):
        raise TypeError("it is no object")
    return answer


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def parse_snapshot(instance: Instance, answer: Mapping[str, Any]) -> InstanceStatus:
    """Return the status in a /snapshot answer; what it lacks is taken as not ready.

    Raises what values that mean nothing raise.
    """
    claimed = answer.get("instance_id", instance.id)
    if claimed != instance.id:
        return _silent(instance, f"{instance.url} is {claimed!r}")
    variant = answer.get("variant") or "unknown"
    if variant not in {*_VARIANTS, "unknown"}:
        return _silent(instance, f"claims to run {variant!r}")
    metrics = answer.get("metrics")
    metrics = metrics if isinstance(metrics, Mapping) else {}
    return InstanceStatus(
        id=instance.id,
        variant=variant,
        ready=answer.get("ready") is True,
        healthy=answer.get("healthy") is True,
        reasons=_reasons(answer.get("reasons") or []),
        url=instance.url,
        messages=_total(metrics.get("messages")),
        trades=_total(metrics.get("trades")),
        pid=_total(answer.get("pid")),
        started_at=_seconds(answer.get("started_at")),
    )


def _silent(instance: Instance, reason: str) -> InstanceStatus:
    return InstanceStatus(
        id=instance.id,
        variant="unknown",
        ready=False,
        healthy=False,
        reasons=(_line(reason),),
        url=instance.url,
    )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _reasons(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("its reasons are no list")
    return tuple(_line(str(reason)) for reason in value[:_MOST_REASONS])


def _line(text: str) -> str:
    """Return the text as one line that can be printed: half a surrogate cannot."""
    return " ".join(text[:_REASON_LENGTH].encode(errors="backslashreplace").decode().split())


def _total(value: object) -> int:
    """Return a count, or the sum of counts by channel and symbol."""
    if isinstance(value, Mapping):
        return sum(_total(entry) for entry in value.values())
    return int(value) if isinstance(value, int | float) else 0


def _seconds(value: object) -> float:
    """Return unix seconds of a number or an ISO time, 0 for anything else."""
    if isinstance(value, int | float):
        return float(value)
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(value).timestamp()  # type: ignore[arg-type]
    return 0.0
