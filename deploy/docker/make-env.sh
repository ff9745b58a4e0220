#!/bin/sh
# Writes .env for docker-compose: every secret random, mode 0600. What is there already stays as it is;
# only names that are missing are added, as after an upgrade that needs one more.
# ENV_FILE another file; VENUE=sandbox|backpack (default sandbox) decides at the first run, and so does
# ALERTMANAGER: the URL of one that there is already, or "own" for a container of its own.
set -eu
umask 077
cd "$(dirname "$0")/../.."
file="${ENV_FILE:-.env}"
venue="${VENUE:-sandbox}"
die() { echo "make env: $1" >&2; exit 2; }
case "$venue" in
    sandbox) profiles=sandbox plan=plans/demo.yaml prometheus=sandbox.yaml ;;
    backpack) profiles='' plan=plans/production.yaml prometheus=prometheus.yaml ;;
    *) die "VENUE=$venue: must be sandbox or backpack" ;;
esac
alertmanager="${ALERTMANAGER:-}"
case "$alertmanager" in
    own) profiles="${profiles:+$profiles,}alertmanager" alertmanager=http://alertmanager:9093 ;;
    ''|http://*|https://*) ;;
    *) die "ALERTMANAGER=$alertmanager: must be own, or the URL of one" ;;
esac
plan="${PLAN:-$plan}"
[ -f "$plan" ] || die "PLAN=$plan: no such file below $PWD"
[ ! -L "$file" ] || die "$file is a symbolic link: remove it"

random() { head -c "$1" /dev/urandom | base64 | tr -d '\n=' | tr '+/' '-_'; }
# 32 bytes in URL-safe base64 with its padding is what Fernet takes
fernet() { head -c 32 /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'; }

if [ -e "$file" ]; then
    chmod 600 "$file"
    # a last line without its end would swallow the first one that is added
    [ -z "$(tail -c 1 "$file")" ] || echo >> "$file"
else
    echo '# Secrets and settings of docker-compose.yaml, made by `make env`. Keep it out of every repository.' > "$file"
fi
added=''
# add NAME COMMAND…: the output of the command, unless the file has the name
add() {
    name="$1"; shift
    if ! grep -q "^$name=" "$file"; then
        value="$("$@")"
        printf '%s=%s\n' "$name" "$value" >> "$file"
        added="$added $name"
    fi
}
# public NAME PORT: the address of a user interface as it is published, on the port that the file says
public() { echo "http://127.0.0.1:$(sed -n "s/^$1=//p" "$file" | tail -n 1 | grep . || echo "$2")"; }
add COMPOSE_PROJECT_NAME echo backpack
add COMPOSE_PROFILES echo "$profiles"
add BACKPACK_VENUE echo "$venue"
add BACKPACK_PLAN echo "$plan"
add PROMETHEUS_CONFIG echo "$prometheus"
add AIRFLOW_PUBLIC_URL public AIRFLOW_PORT 8080
add PROMETHEUS_PUBLIC_URL public PROMETHEUS_PORT 9090
add GRAFANA_PUBLIC_URL public GRAFANA_PORT 3000
add ALERTMANAGER_PUBLIC_URL public ALERTMANAGER_PORT 9093
add ALERTMANAGER_URLS echo "$alertmanager"
add ALERTMANAGER_CONFIG echo pagerduty.yaml
add ALERT_PAGER echo ''
add AIRFLOW_FERNET_KEY fernet
add AIRFLOW_JWT_SECRET random 48
add AIRFLOW_API_SECRET random 48
add AIRFLOW_ADMIN_PASSWORD random 18
add AIRFLOW_DB_PASSWORD random 24
add JOURNAL_OWNER_PASSWORD random 24
add JOURNAL_PASSWORD random 24
add POSTGRES_PASSWORD random 24
add GRAFANA_ADMIN_PASSWORD random 18
add REDIS_PASSWORD random 24
if [ "${ALERTMANAGER:-}" = own ] && ! grep -q '^COMPOSE_PROFILES=.*alertmanager' "$file"; then
    echo "make env: add alertmanager to COMPOSE_PROFILES in $file, else it is not started" >&2
fi
# names only: a value on a terminal ends up in somebody's log
echo "$file:${added:- nothing was missing}"
