"""The channels of a deployment as Airflow reaches them: its providers' notifiers and connections.

They are called by `notify` and never as callbacks: what a reason says is no template. Their own
retries are off: what is not taken is told again by the next task (`notices.teller`).
"""

# ruff: noqa: PLC0415 - only a task that has something to say pays for a provider's imports

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module

from feed_migration.notices.channel import Channel
from feed_migration.notices.notice import Notice, html_text, json_values, slack_text
from feed_migration.notices.outlet import Outlet, Send, SendFailed
from feed_migration.notices.webhook import outlets_outside

TIMEOUT_SECONDS = 5


def outlets_of(channels: Iterable[Channel]) -> tuple[Outlet, ...]:
    """Return every channel as a task reaches it: by its connection, or by its file."""
    found: list[Outlet] = []
    for channel in channels:
        if channel.connection is None:
            found += outlets_outside([channel])
        else:
            send = _SENDERS[channel.kind](channel, channel.connection)
            ready = partial(import_module, _MODULES[channel.kind])
            found.append(Outlet(name=channel.name, kinds=channel.kinds, send=send, ready=ready))
    return tuple(found)


def _slack(channel: Channel, connection: str) -> Send:
    del channel

    def send(notice: Notice, /) -> None:
        from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

        SlackWebhookNotifier(
            slack_webhook_conn_id=connection,
            text=slack_text(notice),
            unfurl_links=False,
            timeout=TIMEOUT_SECONDS,
            retry_handlers=[],
        ).notify({})

    return send


def _email(channel: Channel, connection: str) -> Send:
    def send(notice: Notice, /) -> None:
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        SmtpNotifier(
            smtp_conn_id=connection,
            to=list(channel.to),
            from_email=channel.sender,
            subject=notice.headline,
            html_content=html_text(notice),
        ).notify({})

    return send


def _webhook(channel: Channel, connection: str) -> Send:
    def send(notice: Notice, /) -> None:
        from airflow.providers.http.notifications.http import HttpNotifier

        notifier = HttpNotifier(
            http_conn_id=connection, endpoint=channel.endpoint, json=json_values(notice)
        )
        # `notify` tells nobody what came back, and a redirect is no delivery. The hook's own check
        # would log the answer's text, in which a hostile server may say back what it was sent.
        options = {"timeout": TIMEOUT_SECONDS, "allow_redirects": False, "check_response": False}
        reply = notifier.hook.run(
            endpoint=notifier.endpoint, json=notifier.json, extra_options=options
        )
        if not reply.ok or reply.is_redirect:
            raise SendFailed(f"status {reply.status_code}")

    return send


_SENDERS: Mapping[str, Callable[[Channel, str], Send]] = {
    "slack": _slack,
    "email": _email,
    "webhook": _webhook,
}
# what a fresh process imports for seconds, so never behind a claim
_MODULES: Mapping[str, str] = {
    "slack": "airflow.providers.slack.notifications.slack_webhook",
    "email": "airflow.providers.smtp.notifications.smtp",
    "webhook": "airflow.providers.http.notifications.http",
}
