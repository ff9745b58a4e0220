"""A notice: one thing that people must hear of, with the reason first. Pure."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from html import escape
from typing import Any

from feed_migration.addresses import Link
from feed_migration.markdown import utc
from feed_migration.redaction import redact


class Kind(StrEnum):
    """What a notice is about; channels may choose among them."""

    STARTED = "started"
    APPROVAL = "approval"
    FEEDBACK = "feedback"
    HELD = "held"
    ROLLBACK = "rollback"
    ROLLED_BACK = "rolled_back"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One message. `key` names it within its migration, so that it is told once.

    `reason` comes first and is one line; `facts` are whole sentences, `links` name → URL.
    `at` and `until` are unix seconds; from `until` on it is not true any more, and not told.
    `about` is the step, or the consumer, that it is about.
    """

    migration_id: str
    key: str
    kind: Kind
    at: float
    title: str
    reason: str
    facts: tuple[str, ...] = ()
    links: tuple[Link, ...] = field(default=())
    about: str = ""
    until: float = math.inf

    @property
    def headline(self) -> str:
        """The whole matter in one line."""
        reason = one_line(self.reason)
        return f"{self.title}: {reason}" if reason else self.title


def one_line(text: str) -> str:
    """Return `text` without secrets and control characters, in one line of bounded length."""
    return redact(" ".join(text.split()))


def plain_text(notice: Notice) -> str:
    """Return the message for chats and terminals: headline, facts, links."""
    lines = [notice.headline, *map(one_line, notice.facts)]
    lines += [f"{name}: {url}" for name, url in notice.links]
    lines.append(f"{notice.migration_id}, {utc(notice.at)}")
    return "\n".join(lines)


def slack_text(notice: Notice) -> str:
    """Return the message in Slack's markup; what others said in it can mention nobody."""
    links = "  ·  ".join(f"<{url}|{_slack(name)}>" for name, url in notice.links)
    lines = [f"*{_slack(notice.headline)}*", *(_slack(one_line(fact)) for fact in notice.facts)]
    lines += [links] if links else []
    lines.append(f"{_slack(notice.migration_id)}, {utc(notice.at)}")
    return "\n".join(lines)


def html_text(notice: Notice) -> str:
    """Return the message as HTML, for mail."""
    items = [f"<p>{escape(one_line(fact))}</p>" for fact in notice.facts]
    links = " · ".join(f'<a href="{escape(url)}">{escape(name)}</a>' for name, url in notice.links)
    where = f"{escape(notice.migration_id)}, {utc(notice.at)}"
    head = f"<p><strong>{escape(notice.headline)}</strong></p>"
    return f"{head}{''.join(items)}<p>{links}</p><p>{where}</p>"


def json_values(notice: Notice) -> dict[str, Any]:
    """Return the message as JSON values: `text` reads like a chat message, the rest is for code."""
    return {
        "text": plain_text(notice),
        "migration_id": notice.migration_id,
        "key": notice.key,
        "kind": str(notice.kind),
        "at": notice.at,
        "title": notice.title,
        "reason": one_line(notice.reason),
        "facts": [one_line(fact) for fact in notice.facts],
        "links": dict(notice.links),
    }


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
