#!/bin/sh
# Pins the images of others by digest: pulls each tag and writes what it is today into .env. Needs the
# registry, and docker. Run it again to move on to what the tags mean then.
set -eu
umask 077
cd "$(dirname "$0")/../.."
file="${ENV_FILE:-.env}"
[ -f "$file" ] || { echo "make images-pin: $file is missing: run 'make env' first" >&2; exit 2; }

# pin NAME TAG
pin() {
    docker pull --quiet "$2" >/dev/null
    digest="$(docker image inspect --format '{{index .RepoDigests 0}}' "$2")"
    [ -n "$digest" ] || { echo "make images-pin: $2 has no digest: it was not pulled from a registry" >&2; exit 1; }
    grep -v "^$1=" "$file" > "$file.new" || true
    printf '%s=%s\n' "$1" "$digest" >> "$file.new"
    mv "$file.new" "$file"
    echo "$1=$digest"
}
grep -ohE '\$\{[A-Z]+_IMAGE:-[^}]+\}' docker-compose.yaml docker-compose.celery.yaml | sort -u \
    | sed -E 's/^\$\{([A-Z]+_IMAGE):-(.*)\}$/\1 \2/' \
    | while read -r name tag; do pin "$name" "$tag"; done
