"""Where notices go: the channels of a deployment. Secrets are named here, never held.

```yaml
notifications:
- name: oncall               # how the journal and the logs call it
  kind: slack                # slack, email or webhook
  connection: slack_oncall   # an Airflow connection: Airflow's tasks send through it
  url_file: secrets/oncall   # the same place for guard and shell: a file (0600) with a URL
  kinds: [held, rollback, rolled_back]   # default: all
- {name: team, kind: email, connection: smtp, to: [team@example.com], sender: migration@example.com}
```
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from feed_migration.notices.notice import Kind

_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
_Mail = Annotated[str, msgspec.Meta(pattern=r"^[^\s@,;<>]+@[^\s@,;<>]+$")]


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One place that notices go to; it is reached by `connection`, outside Airflow by `url_file`.

    `to` and `sender` are of a mail, `endpoint` is the path behind a webhook's connection.
    """

    name: str
    kind: Literal["slack", "email", "webhook"]
    connection: str | None
    url_file: Path | None
    kinds: frozenset[Kind]
    to: tuple[str, ...] = ()
    sender: str | None = None
    endpoint: str | None = None


class ChannelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of one channel in deployment.yaml."""

    name: _Name
    kind: Literal["slack", "email", "webhook"]
    connection: _Name | None = None
    url_file: str | None = None
    kinds: tuple[Kind, ...] = tuple(Kind)
    to: tuple[_Mail, ...] = ()
    sender: _Mail | None = None
    endpoint: str | None = None

    def __post_init__(self) -> None:
        """Refuse what could never send; msgspec reports it with the place."""
        if self.connection is None and self.url_file is None:
            raise ValueError(f"channel {self.name}: needs a connection, or a url_file")
        mail = self.kind == "email"
        if mail and (self.connection is None or not self.to):
            raise ValueError(f"channel {self.name}: a mail needs a connection and `to`")
        if mail and self.url_file is not None:
            raise ValueError(f"channel {self.name}: url_file is for slack and webhook only")
        if not mail and (self.to or self.sender):
            raise ValueError(f"channel {self.name}: `to` and `sender` are for email only")
        if self.endpoint is not None and self.kind != "webhook":
            raise ValueError(f"channel {self.name}: `endpoint` is for webhook only")


def channels_of(home: Path, specs: Iterable[ChannelSpec]) -> tuple[Channel, ...]:
    """Return the channels; relative files mean the state directory `home`."""
    return tuple(
        Channel(
            name=spec.name,
            kind=spec.kind,
            connection=spec.connection,
            url_file=home / spec.url_file if spec.url_file else None,
            kinds=frozenset(spec.kinds),
            to=spec.to,
            sender=spec.sender,
            endpoint=spec.endpoint,
        )
        for spec in specs
    )
