"""Asks the guard of a deployment how it is, for a shell and for the console. Never raises."""

import threading
from queue import Empty, SimpleQueue

import msgspec
import requests
from urllib3.exceptions import NameResolutionError, NewConnectionError

from feed_migration.guard.answer import NOT_NAMED, GuardAnswer, Healthz, answer_of, silent

TIMEOUT_SECONDS = 2.0
MAX_BYTES = 1_048_576


def ask_guard(url: str | None, timeout_seconds: float = TIMEOUT_SECONDS) -> GuardAnswer:
    """Return how the guard at `url` is, after `timeout_seconds` at the latest."""
    if url is None:
        return NOT_NAMED
    answers: SimpleQueue[GuardAnswer] = SimpleQueue()

    def ask() -> None:
        answers.put(_asked(url, timeout_seconds))

    # no timeout of a socket ends the search for a name, nor an answer that comes drop by drop
    threading.Thread(target=ask, name="ask the guard", daemon=True).start()
    try:
        return answers.get(timeout=timeout_seconds)
    except Empty:
        return silent(url, f"no answer within {timeout_seconds:g} s")


def _asked(url: str, timeout_seconds: float) -> GuardAnswer:
    try:
        with requests.Session() as session:
            # the guard is ours: no proxy of the operator's shell, no redirect elsewhere
            session.trust_env = False
            with session.get(
                f"{url}/healthz", timeout=timeout_seconds, allow_redirects=False, stream=True
            ) as response:
                # 503 is an answer as well
                raw = response.raw.read(MAX_BYTES, decode_content=True)
        return answer_of(msgspec.json.decode(raw, type=Healthz))
    except Exception as error:  # noqa: BLE001 - whatever it is, who asks goes on
        return silent(url, _why(error, timeout_seconds))


def _why(error: Exception, timeout_seconds: float) -> str:
    if isinstance(error, requests.Timeout):
        return f"no answer within {timeout_seconds:g} s"
    if isinstance(error, requests.ConnectionError):
        reason = getattr(error.args[0], "reason", None) if error.args else None
        if isinstance(reason, NameResolutionError):
            return "nobody knows that name here"
        return "nothing listens" if isinstance(reason, NewConnectionError) else "it hung up"
    return "what answers is no guard"
