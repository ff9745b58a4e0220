"""`make env`: random, private, and never the end of a secret that is in use."""

import base64
import stat

from tests.compose.files import make_env, settings_in

SECRETS = {
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_API_SECRET",
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW_DB_PASSWORD",
    "JOURNAL_OWNER_PASSWORD",
    "JOURNAL_PASSWORD",
    "POSTGRES_PASSWORD",
    "GRAFANA_ADMIN_PASSWORD",
    "REDIS_PASSWORD",
}


def test_every_secret_is_random_and_for_its_owner_alone(tmp_path):
    """Two runs share nothing, no two secrets are the same, mode 0600."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert make_env(one).returncode == make_env(two).returncode == 0
    first, second = settings_in(one), settings_in(two)
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    values = [*(first[name] for name in SECRETS), *(second[name] for name in SECRETS)]
    assert len(set(values)) == 2 * len(SECRETS)
    assert min(map(len, values)) >= 24
    assert len(base64.urlsafe_b64decode(first["AIRFLOW_FERNET_KEY"])) == 32


def test_no_value_is_printed(tmp_path):
    """Names only: a terminal's text ends up in logs."""
    path = tmp_path / ".env"
    done = make_env(path)
    said = done.stdout + done.stderr
    assert "AIRFLOW_FERNET_KEY" in said
    assert not [name for name in SECRETS if settings_in(path)[name] in said]


def test_what_is_there_stays_and_what_is_missing_is_added(tmp_path):
    """A second run changes nothing; one after an upgrade adds the new name."""
    path = tmp_path / ".env"
    make_env(path)
    before = path.read_text()
    make_env(path, VENUE="backpack")
    assert path.read_text() == before
    kept = before.replace(f"REDIS_PASSWORD={settings_in(path)['REDIS_PASSWORD']}\n", "# mine")
    path.write_text(kept)
    assert make_env(path).stdout.split() == [f"{path}:", "REDIS_PASSWORD"]
    assert path.read_text().startswith(kept)
    assert settings_in(path).keys() >= SECRETS


def test_an_old_file_that_others_could_read_is_closed(tmp_path):
    """It is about to hold secrets."""
    path = tmp_path / ".env"
    path.write_text("AIRFLOW_PORT=8081\n")
    path.chmod(0o644)
    make_env(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert settings_in(path)["AIRFLOW_PORT"] == "8081"


def test_the_venue_decides_profile_and_plan(tmp_path):
    """The sandbox brings its service and the quick plan; Backpack the one for production."""
    sandbox, real = tmp_path / "sandbox", tmp_path / "real"
    make_env(sandbox)
    make_env(real, VENUE="backpack")
    assert settings_in(sandbox)["COMPOSE_PROFILES"] == "sandbox"
    assert settings_in(sandbox)["BACKPACK_PLAN"] == "plans/demo.yaml"
    assert settings_in(real)["COMPOSE_PROFILES"] == ""
    assert settings_in(real)["BACKPACK_PLAN"] == "plans/production.yaml"


def test_links_lead_to_the_published_ports_unless_a_proxy_is_named(tmp_path):
    """Ports that are in the file already count; what a person has put there stays."""
    first, changed = tmp_path / "first", tmp_path / "changed"
    make_env(first)
    changed.write_text("AIRFLOW_PORT=18080\nGRAFANA_PUBLIC_URL=https://grafana.example.com\n")
    make_env(changed)
    urls = ("AIRFLOW_PUBLIC_URL", "PROMETHEUS_PUBLIC_URL", "GRAFANA_PUBLIC_URL")
    assert [settings_in(first)[name] for name in urls] == [
        "http://127.0.0.1:8080",
        "http://127.0.0.1:9090",
        "http://127.0.0.1:3000",
    ]
    assert [settings_in(changed)[name] for name in urls] == [
        "http://127.0.0.1:18080",
        "http://127.0.0.1:9090",
        "https://grafana.example.com",
    ]


def test_what_cannot_be_is_refused_in_one_line(tmp_path):
    """And nothing is written."""
    for environment, word in (
        ({"VENUE": "binance"}, "VENUE=binance"),
        ({"PLAN": "no.yaml"}, "no.yaml"),
    ):
        done = make_env(tmp_path / ".env", **environment)
        assert done.returncode == 2
        assert word in done.stderr
        assert len(done.stderr.splitlines()) == 1
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert make_env(link).returncode == 2
    assert not (tmp_path / ".env").exists()
    assert not (tmp_path / "elsewhere").exists()
