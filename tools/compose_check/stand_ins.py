"""What the stand-ins for the images of others are made of, under the tags that the files name."""

import re
from dataclasses import dataclass, field

from tools.compose_check.own_images import REPOSITORY
from tools.compose_check.parts import Parts

_TEXT = "".join((REPOSITORY / name).read_text() for name in Parts(celery=True).files)
_TAG = re.compile(r"\$\{(\w+_IMAGE):-([^}]+)\}")
# variable → the image where .env names no other
TAGS: dict[str, str] = dict(_TAG.findall(_TEXT))


@dataclass(frozen=True)
class StandIn:
    """An image of Debian's packages; `binaries` and `folders` are this machine's, of `package`."""

    service: str
    dockerfile: str
    files: dict[str, str] = field(default_factory=dict)
    binaries: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    package: str = ""

    @property
    def tag(self) -> str:
        """The name that the files give the image."""
        return TAGS[f"{self.service.upper()}_IMAGE"]


_FROM = f"FROM {TAGS['PYTHON_IMAGE']}"
_APT_GET = "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends"

_POSTGRES_ENTRYPOINT = r"""#!/bin/bash
# the first start of the official image, as far as docker-compose.yaml counts on it
set -euo pipefail
if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?}"
    chmod 700 "$PGDATA"
    # shellcheck disable=SC2086
    initdb --username=postgres --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
        ${POSTGRES_INITDB_ARGS:-} --pgdata="$PGDATA"
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=''" --wait start
    for file in /docker-entrypoint-initdb.d/*.sh; do
        if [ -x "$file" ]; then "$file"; else . "$file"; fi
    done
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
fi
exec "$@"
"""
_POSTGRES = f"""{_FROM}
RUN groupadd --system --gid=999 postgres \\
    && useradd --system --gid=postgres --uid=999 --home-dir=/var/lib/postgresql postgres \\
    && apt-get update -qq \\
    && {_APT_GET} postgresql-15 >/dev/null \\
    && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/15 \\
    && install --directory --owner=postgres --group=postgres --mode=1777 /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
COPY docker-entrypoint.sh /usr/local/bin/
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres", "-c", "listen_addresses=*"]
"""
_REDIS = f"""{_FROM}
RUN groupadd --system --gid=999 redis \\
    && useradd --system --gid=redis --uid=999 --home-dir=/data redis \\
    && apt-get update -qq \\
    && {_APT_GET} redis-server redis-tools >/dev/null \\
    && rm -rf /var/lib/apt/lists/* \\
    && install --directory --owner=redis --group=redis /data
VOLUME /data
WORKDIR /data
CMD ["redis-server"]
"""
_PROMETHEUS = f"""{_FROM}
COPY prometheus promtool /bin/
RUN install --directory --owner=nobody --group=nogroup /prometheus /etc/prometheus
USER nobody
VOLUME /prometheus
ENTRYPOINT ["/bin/prometheus"]
"""
_TEMPLATES = "/usr/share/prometheus/alertmanager"
_ALERTMANAGER = f"""{_FROM}
COPY prometheus-alertmanager /bin/alertmanager
COPY amtool /bin/
# in the official image the templates are part of the program
COPY alertmanager {_TEMPLATES}
RUN install --directory --owner=nobody --group=nogroup /alertmanager /etc/alertmanager
USER nobody
VOLUME /alertmanager
WORKDIR /alertmanager
ENTRYPOINT ["/bin/alertmanager"]
"""

STAND_INS = (
    StandIn("postgres", _POSTGRES, files={"docker-entrypoint.sh": _POSTGRES_ENTRYPOINT}),
    StandIn("redis", _REDIS),
    StandIn(
        "prometheus",
        _PROMETHEUS,
        binaries=("prometheus", "promtool"),
        package="prometheus",
    ),
    StandIn(
        "alertmanager",
        _ALERTMANAGER,
        binaries=("prometheus-alertmanager", "amtool"),
        folders=(_TEMPLATES,),
        package="prometheus-alertmanager",
    ),
)
