"""What the container `init` lays out, read by the code that will read it."""

import json
import stat

import pytest
import trustme
import yaml

from backpack_feed.process.config import load_config
from backpack_sandbox.account.credentials import ApiKey
from feed_migration.deployment import load_deployment
from feed_migration.errors import DeploymentError
from feed_migration.fleet.supervisor_conf import conf_path, program_conf
from tests.compose.files import REPOSITORY, services
from tools.compose.control_secrets import write_secrets
from tools.compose.fleet import install_key, lay_out
from tools.compose.places import ComposeError, Places

ANY_ADDRESS = ".".join("0000")
SYMBOLS = "SOL-USDC,BTC-USDC,ETH-USDC"
FLEET = {
    "BACKPACK_VENUE": "sandbox",
    "BACKPACK_SYMBOLS": SYMBOLS,
    "FLEET_SIZE": "3",
    "SHADOW_SIZE": "1",
}
SECRETS = {
    "AIRFLOW_FERNET_KEY": "fernet",
    "AIRFLOW_JWT_SECRET": "jwt",
    "AIRFLOW_API_SECRET": "api",
    "AIRFLOW_ADMIN_PASSWORD": "admin's",
    "AIRFLOW_DB_PASSWORD": "with:colon\\and",
    "JOURNAL_PASSWORD": "journal's",
    "AIRFLOW_USERS": "admin:admin,eve:viewer",
}


@pytest.fixture
def places(tmp_path):
    """The volumes at the first `up`, beside a sandbox that has made its key."""
    places = Places(root=tmp_path)
    for folder in (places.home, places.control, places.credentials, places.feed, places.targets):
        folder.mkdir(parents=True)
    (places.home / "parity").mkdir()
    places.sandbox.mkdir()
    ApiKey.load_or_create(places.sandbox / "api_key.json")
    trustme.CA().cert_pem.write_to_path(str(places.sandbox / "ca.pem"))
    return places


def never(_seconds):
    raise AssertionError("waited")


def test_the_deployment_loads_and_names_what_compose_runs(places):
    """URLs are services, ports are the fleet's, secrets are files beside it."""
    lay_out(places, FLEET, sleep=never)
    deployment = load_deployment(places.home, {})
    names = services()
    for url in (deployment.prometheus_url, deployment.guard_url, deployment.airflow.url):
        assert url.split("//")[1].split(":")[0] in names
    assert [i.url for i in deployment.instances] == [
        f"http://fleet:{p}" for p in (9601, 9602, 9603)
    ]
    assert deployment.journal_url.startswith("postgresql://backpack_journal@postgres/backpack?")
    assert deployment.credentials_file == places.api_key
    assert stat.S_IMODE(places.api_key.stat().st_mode) == 0o600


def test_every_configuration_is_one_that_a_feed_starts_with(places):
    """All symbols are dealt, once to handlers and once to shadows."""
    lay_out(places, FLEET, sleep=never)
    deployment = load_deployment(places.home, {})
    for instances, role in (
        (deployment.instances, "handler"),
        (deployment.shadow_instances, "shadow"),
    ):
        configs = [load_config(instance.config) for instance in instances]
        assert sorted(s for config in configs for s in config.symbols) == sorted(SYMBOLS.split(","))
        assert {config.role for config in configs} == {role}
        assert all(config.metrics.host == ANY_ADDRESS for config in configs)
    scraped = json.loads((places.targets / "fleet.json").read_text())
    assert [group["labels"]["role"] for group in scraped] == ["handler", "shadow"]
    assert scraped[0]["targets"] == [i.url.removeprefix("http://") for i in deployment.instances]


def test_supervisord_includes_the_files_of_the_fleet(places):
    """Every instance begins on ccxt, with the command of the fleet's own image."""
    lay_out(places, FLEET, sleep=never)
    deployment = load_deployment(places.home, {})
    config = (REPOSITORY / "deploy/docker/supervisord.conf").read_text()
    assert f"files = {Places().programs}/*.conf" in config
    assert f"file = {Places().feed / 'supervisor.sock'}" in config
    for instance in deployment.instances:
        text = conf_path(deployment, instance.id).read_text()
        assert 'CRYPTOFEED_BACKPACK_NATIVE="false"' in text
        assert "command = /opt/venv/bin/backpack-feed run --config" in text
    assert len(list(places.programs.iterdir())) == 3


def test_a_second_up_takes_no_flag_back(places):
    """What a migration has flipped stays flipped, also where deployment.yaml is laid out anew."""
    lay_out(places, FLEET, sleep=never)
    deployment = load_deployment(places.home, {})
    first = deployment.instances[0]
    conf_path(deployment, first.id).write_text(program_conf(deployment, first, "native"))
    deployment.fence_file.write_text("4\n")
    edited = (places.home / "deployment.yaml").read_text() + "# mine\n"
    (places.home / "deployment.yaml").write_text(edited)

    assert "nothing is changed" in lay_out(places, FLEET, sleep=never)
    assert (places.home / "deployment.yaml").read_text() == edited
    (places.home / "deployment.yaml").unlink()
    lay_out(places, FLEET, sleep=never)
    assert 'NATIVE="true"' in conf_path(deployment, first.id).read_text()


def test_a_first_run_that_broke_off_is_completed(places):
    """deployment.yaml comes last: without it everything is written again."""
    lay_out(places, FLEET, sleep=never)
    deployment = load_deployment(places.home, {})
    (places.home / "deployment.yaml").unlink()
    conf_path(deployment, "feed-01").unlink()
    lay_out(places, FLEET, sleep=never)
    assert conf_path(deployment, "feed-01").is_file()


def test_backpack_itself_needs_its_key_first(places):
    """And has no authority of its own."""
    environ = {**FLEET, "BACKPACK_VENUE": "backpack"}
    with pytest.raises(ComposeError, match="install-key"):
        lay_out(places, environ, sleep=never)
    install_key(places, (places.sandbox / "api_key.json").read_bytes())
    lay_out(places, environ, sleep=never)
    document = yaml.safe_load((places.home / "fleet/feed-00.yaml").read_text())
    assert document["venue"] == {}
    assert load_deployment(places.home, {}).venue.rest_url == "https://api.backpack.exchange"


def test_what_is_no_key_is_refused_without_its_text(places):
    """Nothing is kept of it, and the key that was there stays."""
    install_key(places, (places.sandbox / "api_key.json").read_bytes())
    before = places.api_key.read_bytes()
    with pytest.raises(ComposeError) as refused:
        install_key(places, b'{"api_key": "x", "private_key": "hunter2"}')
    assert "hunter2" not in str(refused.value)
    assert places.api_key.read_bytes() == before
    assert [path.name for path in places.credentials.iterdir()] == ["api_key.json"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"BACKPACK_VENUE": "binance"}, "BACKPACK_VENUE=binance"),
        ({"FLEET_SIZE": "0"}, "FLEET_SIZE=0"),
        ({"FLEET_SIZE": "51"}, "FLEET_SIZE=51"),
        ({"AIRFLOW_PUBLIC_URL": "https://x.example.com/airflow/"}, "a host name of its own"),
        ({"PROMETHEUS_PUBLIC_URL": "x.example.com"}, "PROMETHEUS_PUBLIC_URL"),
        ({"FLEET_SIZE": "4"}, "3 symbols for 4 instances"),
    ],
)
def test_a_setting_that_cannot_be_is_named(places, change, word):
    """One line with the remedy; nothing is laid out."""
    with pytest.raises((ComposeError, DeploymentError), match=word):
        lay_out(places, {**FLEET, **change}, sleep=never)
    assert not (places.home / "deployment.yaml").exists()


def test_a_sandbox_that_never_comes_ends_the_wait(places):
    """With what may be wrong."""
    (places.sandbox / "ca.pem").unlink()
    now = iter(range(0, 10_000, 60))
    with pytest.raises(ComposeError, match="COMPOSE_PROFILES=sandbox"):
        lay_out(places, FLEET, monotonic=lambda: next(now), sleep=lambda _seconds: None)


def test_secrets_are_files_of_their_owner(places):
    """Escapes of libpq, Airflow's passwords; a user that is new gets one, and keeps it."""
    write_secrets(places, SECRETS)
    assert {stat.S_IMODE(path.stat().st_mode) for path in places.control.iterdir()} == {0o600}
    assert places.pgpass.read_text().splitlines() == [
        "postgres:5432:airflow:airflow:with\\:colon\\\\and",
        "postgres:5432:backpack:backpack_journal:journal's",
    ]
    passwords = json.loads(places.airflow_passwords.read_text())
    assert passwords["admin"] == "admin's"
    assert len(passwords["eve"]) >= 20

    write_secrets(places, {**SECRETS, "AIRFLOW_ADMIN_PASSWORD": "another"})
    again = json.loads(places.airflow_passwords.read_text())
    assert again == {"admin": "another", "eve": passwords["eve"]}


def test_a_secret_that_is_missing_is_named_with_the_remedy(places):
    """Never its value."""
    for name in SECRETS.keys() - {"AIRFLOW_USERS"}:
        with pytest.raises(ComposeError, match=f"{name} .*make env"):
            write_secrets(places, {**SECRETS, name: ""})
