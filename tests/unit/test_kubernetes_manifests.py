"""deploy/kubernetes against the published schemas, the code that uses it, and the house rules.

The models of the official client are generated from the OpenAPI documents of Kubernetes 1.37 and
forbid what these do not know; no cluster and no network is needed.
"""

import re
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import kubernetes.client as models
import pytest
import yaml
from pydantic import ValidationError

from backpack_feed.process.config import load_config
from feed_migration.addresses import addresses_of
from feed_migration.cli.app import run
from feed_migration.deployment import load_deployment
from feed_migration.errors import DeploymentError
from feed_migration.fleet.kubernetes_spec import read_partition, read_variant
from feed_migration.journal.keys import AuditPlace
from tests.support.kubernetes_fleet import MANIFESTS, cluster_fleet

SCHEMAS = {
    "Namespace": models.V1Namespace,
    "ServiceAccount": models.V1ServiceAccount,
    "Role": models.V1Role,
    "RoleBinding": models.V1RoleBinding,
    "ConfigMap": models.V1ConfigMap,
    "Service": models.V1Service,
    "NetworkPolicy": models.V1NetworkPolicy,
    "PodDisruptionBudget": models.V1PodDisruptionBudget,
    "PersistentVolumeClaim": models.V1PersistentVolumeClaim,
    "StatefulSet": models.V1StatefulSet,
    "Deployment": models.V1Deployment,
}
FILES = sorted(path.name for path in MANIFESTS.glob("*.yaml") if path.name != "kustomization.yaml")


@cache
def documents(file):
    return [d for d in yaml.safe_load_all((MANIFESTS / file).read_text()) if d]


def everything():
    return [document for file in FILES for document in documents(file)]


def one(kind, name):
    found = [d for d in everything() if (d["kind"], d["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1
    return found[0]


def workloads():
    return [d for d in everything() if d["kind"] in {"StatefulSet", "Deployment"}]


@pytest.mark.parametrize("file", FILES)
def test_every_document_is_what_the_published_schema_says(file):
    """Unknown keys, wrong types and missing required keys are errors."""
    for document in documents(file):
        SCHEMAS[document["kind"]].model_validate(document)


def test_the_schema_check_can_fail():
    """A typing error deep in a pod is found."""
    document = yaml.safe_load((MANIFESTS / "statefulset.yaml").read_text())
    document["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(ValidationError, match="readynessProbe"):
        models.V1StatefulSet.model_validate(document)


def test_kustomize_applies_every_file_and_no_other():
    """`kubectl apply -k` is the whole deployment."""
    (kustomization,) = documents("kustomization.yaml")
    assert sorted(kustomization["resources"]) == FILES


@pytest.mark.parametrize("workload", workloads(), ids=lambda d: d["metadata"]["name"])
def test_every_pod_is_locked_down(workload):
    """Non-root, read-only, no capabilities, seccomp: what `restricted` asks for and more."""
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "hostNetwork" not in pod
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


def test_no_secret_is_in_any_manifest():
    """Keys are a mounted file of a Secret that the operator makes."""
    assert not [d for d in everything() if d["kind"] == "Secret"]
    for workload in workloads():
        for container in workload["spec"]["template"]["spec"]["containers"]:
            names = {variable["name"] for variable in container["env"]}
            assert names <= {
                "CRYPTOFEED_BACKPACK_NATIVE",
                "PYTHONUNBUFFERED",
                "POD_NAME",
                "BACKPACK_HOME",
                "BACKPACK_AUDIT_KEY_FILE",
                "BACKPACK_AUDIT_TRUSTED_FILE",
                "BACKPACK_AUDIT_ANCHOR_FILE",
            }
    volumes = one("StatefulSet", "backpack-feed")["spec"]["template"]["spec"]["volumes"]
    assert {"secretName": "backpack-api-key", "defaultMode": 0o440} in [
        v.get("secret") for v in volumes
    ]


def test_the_feed_has_no_token_of_the_api_server():
    """It asks it for nothing."""
    for name in ("backpack-feed", "backpack-feed-shadow"):
        pod = one("StatefulSet", name)["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["serviceAccountName"] == "backpack-feed"


def test_the_fleet_can_be_driven_as_shipped():
    """A literal flag, RollingUpdate from nothing, parallel pods, probes, a volume per ordinal."""
    found = models.V1StatefulSet.model_validate(one("StatefulSet", "backpack-feed"))
    assert read_variant(found.spec.template.spec, "feed", "here") == "ccxt"
    assert read_partition(found) == 0
    assert found.spec.pod_management_policy == "Parallel"
    assert found.spec.template.spec.containers[0].readiness_probe.http_get.path == "/healthz"
    assert [claim.metadata.name for claim in found.spec.volume_claim_templates] == ["data"]
    assert found.spec.persistent_volume_claim_retention_policy.when_scaled == "Retain"
    assert found.spec.service_name == one("Service", "backpack-feed")["metadata"]["name"]
    assert one("Service", "backpack-feed")["spec"]["publishNotReadyAddresses"]


def test_selectors_choose_the_pods_they_mean():
    """A budget or a policy that selects nothing guards nothing."""
    labels = {
        w["metadata"]["name"]: w["spec"]["template"]["metadata"]["labels"] for w in workloads()
    }

    def chosen(selector):
        return {name for name, have in labels.items() if selector.items() <= have.items()}

    budget = one("PodDisruptionBudget", "backpack-feed")["spec"]["selector"]["matchLabels"]
    policy = one("NetworkPolicy", "backpack-feed")["spec"]["podSelector"]["matchLabels"]
    migrate = one("NetworkPolicy", "backpack-migrate")["spec"]["podSelector"]["matchLabels"]
    guard = one("Service", "backpack-guard")["spec"]["selector"]
    feeds = {"backpack-feed", "backpack-feed-shadow"}
    assert chosen(budget) == {"backpack-feed"}
    assert chosen(policy) == chosen(one("Service", "backpack-feed")["spec"]["selector"]) == feeds
    assert chosen(migrate) == chosen(guard) == {"backpack-guard"}


def test_the_guard_is_started_as_its_command_wants_it(tmp_path, monkeypatch, capsys):
    """Every option is known: what stops it is the state directory that is not there."""
    (container,) = one("Deployment", "backpack-guard")["spec"]["template"]["spec"]["containers"]
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
    assert run(container["args"][1:]) == 2
    assert "deployment.yaml: cannot be read" in capsys.readouterr().err
    port = one("Service", "backpack-guard")["spec"]["ports"][0]["port"]
    assert container["ports"][0]["containerPort"] == port == int(container["args"][-1])


def guard_pod():
    """Return the guard's pod and its container."""
    pod = one("Deployment", "backpack-guard")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return pod, container


def test_the_guard_signs_as_airflow_does():
    """Key and public keys are of a Secret, anchors on its own disk, each where a variable says."""
    pod, container = guard_pod()
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    place = AuditPlace.of(Path("/nowhere"), environment)
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    key = mounts[str(place.signing_key.parent)]
    assert place.signing_key.name == "signing.key"
    assert place.trusted_keys == place.signing_key.with_name("trusted.keys")
    assert key["readOnly"]
    (secret,) = [volume["secret"] for volume in pod["volumes"] if volume["name"] == key["name"]]
    assert secret == {"secretName": "backpack-audit", "defaultMode": 0o440}
    home = Path(environment["BACKPACK_HOME"])
    assert place.anchors.is_relative_to(home)
    assert not mounts[str(home)].get("readOnly")


def test_the_page_says_how_the_guards_key_is_made(tmp_path, monkeypatch, capsys):
    """Before there is a cluster: in a state directory that is for nothing else."""
    page = (MANIFESTS.parents[1] / "docs" / "kubernetes.md").read_text()
    (document,) = re.findall(
        r"^echo '(.+)' > \"\$BACKPACK_HOME/deployment.yaml\"$", page, re.MULTILINE
    )
    (tmp_path / "deployment.yaml").write_text(document)
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
    assert run(["audit", "key"]) == 0
    assert "public key" in capsys.readouterr().out
    made = re.findall(r"backpack-audit|--from-file=\"\$BACKPACK_HOME/(audit/\S+)\"", page)
    assert sorted(filter(None, made)) == ["audit/signing.key", "audit/trusted.keys"]
    assert all((tmp_path / name).is_file() for name in filter(None, made))


@pytest.mark.parametrize("workload", workloads(), ids=lambda d: d["metadata"]["name"])
def test_no_file_is_mounted_that_an_edit_would_not_reach(workload):
    """Kubernetes never renews a subPath."""
    pod = workload["spec"]["template"]["spec"]
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        assert [m for m in container["volumeMounts"] if "subPath" in m] == []


@pytest.mark.parametrize("before", ["nothing", "a file of an earlier version", "the link"])
def test_the_guards_deployment_is_a_link_into_the_mounted_folder(tmp_path, before):
    """So an edit of the ConfigMap reaches it; the pod's own command makes the link."""
    pod, container = guard_pod()
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    (link,) = [c for c in pod["initContainers"] if c["name"] == "deployment"]
    *command, target, place = link["command"]
    home = {v["name"]: v["value"] for v in container["env"]}["BACKPACK_HOME"]
    assert place == f"{home}/deployment.yaml"
    assert [(m["name"], m["mountPath"]) for m in link["volumeMounts"]] == [(mounts[home], home)]
    (volume,) = [v for v in pod["volumes"] if v["name"] == mounts[str(Path(target).parent)]]
    assert volume["configMap"] == {"name": "backpack-deployment"}
    assert Path(target).name in one("ConfigMap", "backpack-deployment")["data"]

    here = tmp_path / "deployment.yaml"
    if before == "a file of an earlier version":
        here.touch()
    elif before == "the link":
        here.symlink_to(target)
        # a disk that turned read-only: what is there already is let be
        tmp_path.chmod(0o500)
    subprocess.run([*command, target, here], check=True)
    tmp_path.chmod(0o700)
    assert here.readlink() == Path(target)


def test_deployment_and_feed_configurations_load(tmp_path):
    """The files in the ConfigMaps are read by the very code that will read them."""
    data = one("ConfigMap", "backpack-deployment")["data"]
    (tmp_path / "deployment.yaml").write_text(data["deployment.yaml"])
    deployment = load_deployment(tmp_path, {})
    fleet = one("StatefulSet", deployment.fleet.kubernetes.stateful_set)
    assert len(deployment.instances) == fleet["spec"]["replicas"]
    # where a pod that mounts the Secret as the feed does has it: the preflight looks there
    mounts = fleet["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert str(deployment.credentials_file.parent) in [mount["mountPath"] for mount in mounts]

    configurations = one("ConfigMap", "backpack-feed")["data"]
    wanted = {i.id for i in (*deployment.instances, *deployment.shadow_instances)}
    assert {name.removesuffix(".yaml") for name in configurations} == wanted
    for name, text in configurations.items():
        path = tmp_path / name
        local = text.replace("/var/lib/backpack", str(tmp_path))
        path.write_text(
            "\n".join(line for line in local.splitlines() if "credentials_file" not in line)
        )
        config = load_config(path)
        assert f"{config.instance_id}.yaml" == name
        assert config.metrics.port == 9601


def test_links_of_the_cluster_lead_out_of_it(tmp_path):
    """A browser resolves no name of a Service."""
    data = one("ConfigMap", "backpack-deployment")["data"]
    (tmp_path / "deployment.yaml").write_text(data["deployment.yaml"])
    addresses = addresses_of(load_deployment(tmp_path, {}))
    for url in (addresses.airflow, addresses.prometheus, addresses.grafana):
        assert urlsplit(url).hostname, url
        assert not urlsplit(url).hostname.endswith(".svc")


def test_the_role_allows_what_the_driver_does_and_nothing_more(tmp_path):
    """Every verb that a whole way forward and back uses, each one used."""
    granted = {
        (verb, resource)
        for rule in one("Role", "backpack-migrate")["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    with cluster_fleet(tmp_path) as running:
        fleet, names = running.fleet, running.ids
        fleet.start_shadow(1)
        fleet.stop_shadow(1)
        fleet.set_variant(names[:2], "native", epoch=1)
        fleet.set_variant(names, "ccxt", epoch=2, max_unavailable=4)
        fleet.log_tails(names, 5)
        assert running.server.api.used == granted


@pytest.mark.parametrize("name", ["feed-00", "backpack-feed-4", "backpack-feed-00"])
def test_an_instance_that_is_no_pod_is_refused_at_load(tmp_path, name):
    """The ids are what Kubernetes calls the pods."""
    data = one("ConfigMap", "backpack-deployment")["data"]["deployment.yaml"]
    (tmp_path / "deployment.yaml").write_text(data.replace("id: backpack-feed-0,", f"id: {name},"))
    with pytest.raises(DeploymentError, match=f"instance '{name}' is no pod"):
        load_deployment(tmp_path, {})
