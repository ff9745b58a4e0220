#!/bin/sh
# Brings a deployment to where its services can start. Runs at every `up`, and changes only what is
# missing: neither deployment.yaml nor the flag of an instance is ever written twice.
set -eu
umask 077
python -m tools.compose secrets
python -m tools.compose alerting
python -m tools.compose fleet
# the owner makes the tables and is used by nobody else; its password ends with this container
owner="$(mktemp)"
printf 'postgresql://backpack_journal_owner:%s@postgres/backpack' "$JOURNAL_OWNER_PASSWORD" > "$owner"
backpack-migrate journal init --url-file "$owner" --writer backpack_journal
rm -f "$owner"
[ -e "$BACKPACK_AUDIT_KEY_FILE" ] || backpack-migrate audit key
airflow db migrate
