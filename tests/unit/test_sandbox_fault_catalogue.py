"""The table of faults: every fault does something, and help and docs say what."""

from pathlib import Path

import pytest

from backpack_sandbox.cli_faults import catalogue_text
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.catalogue import KINDS
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.orders import read_fault_order
from backpack_sandbox.faults.registry import FaultRegistry

DOCS = Path(__file__).resolve().parents[2] / "docs" / "sandbox" / "faults.md"


def test_the_table_has_every_fault_once():
    """In the order of the names."""
    assert list(KINDS) == list(FaultName)
    assert all(kind.hits and kind.story for kind in KINDS.values())


@pytest.mark.parametrize("name", FaultName)
def test_help_and_docs_tell_of_each_fault_and_its_parameters(name):
    """With the same words."""
    kind = KINDS[name]
    row = next(line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{name}` |"))
    assert kind.story in row
    assert kind.story.replace("%", "%%") in catalogue_text()
    for parameter in kind.parameters:
        assert f"`{parameter.name}`" in row
        assert f"--{parameter.name.replace('_', '-')} " in catalogue_text()


@pytest.mark.parametrize("name", FaultName)
def test_each_fault_can_be_ordered_by_its_name_alone(name):
    """Its parameters have defaults that hold."""
    order = read_fault_order({"fault": name})
    assert order.parameters == {p.name: p.default for p in KINDS[name].parameters}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "`fault` is missing: choose one of auth_failure"),
        ([], "a fault is an object with a key `fault`"),
        ({"fault": "gup"}, "unknown fault 'gup': choose one of auth_failure"),
        ({"fault": "gap", "delay_ms": 5}, "gap has no delay_ms, only delay has; it takes after_s"),
        ({"fault": "gap", "parameters": {}}, "gap has no parameters"),
        ({"fault": "delay", "delay_ms": -1}, "delay_ms was -1, must be a number from 0 to 600000"),
        ({"fault": "delay", "delay_ms": "5"}, "delay_ms was '5', must be a number"),
        ({"fault": "delay", "delay_ms": 10**400}, "delay_ms was 1000"),
        ({"fault": "delay", "delay_ms": True}, "delay_ms was True, must be a number"),
        ({"fault": "rest_429", "body": "xml"}, "body was 'xml', must be one of json, html"),
        ({"fault": "gap", "share": 0}, "share was 0, must be above 0 and at most 1"),
        ({"fault": "key_revoked", "share": 0.5}, "key_revoked has no share"),
        ({"fault": "gap", "start_after_seconds": -1}, "start_after_seconds was -1, must"),
        ({"fault": "cert_expired", "user_agent": "x"}, "cert_expired hits every client"),
        ({"fault": "rest_503", "streams": ["a"]}, "rest_503 cannot be narrowed to streams"),
        ({"fault": "rest_html", "status": 700.0}, "status was 700, must be a number from 200 to"),
        ({"fault": "gap", "symbols": []}, "symbols is empty: name at least one, or leave it out"),
        ({"fault": "gap", "streams": []}, "streams is empty: name at least one, or leave it out"),
        ({"fault": "gap", "streams": ["trade.*", "nope"]}, "stream 'nope' can match none: give a"),
        ({"fault": "gap", "streams": ["depth"]}, "stream 'depth' can match none: give a glob"),
        ({"fault": "gap", "streams": ["depths.*"]}, "stream 'depths.*' can match none: give a g"),
        ({"fault": "gap", "user_agent": 5}, "gap: Expected `str`, got `int` - at `$.user_agent`"),
    ],
)
def test_an_order_that_cannot_be_is_refused_with_the_reason(body, says):
    """It names the key and what it must be."""
    with pytest.raises(SandboxError) as refused:
        read_fault_order(body)
    assert str(refused.value).startswith(says)


@pytest.mark.parametrize(
    "glob",
    ["*", "depth.*", "dep*", "depth.200ms.SOL_USDC", "*SOL*", "liquidation", "account.*", "[dt]*"],
)
def test_a_glob_that_a_stream_can_have_is_taken(glob):
    """Private streams and those without a market as well."""
    assert read_fault_order({"fault": "delay", "streams": [glob]}).streams == [glob]


def test_a_fault_for_a_market_that_is_not_listed_is_refused_in_process_too():
    """By the registry, whoever asks."""
    registry = FaultRegistry(lambda: 0.0, ["SOL_USDC"])
    with pytest.raises(SandboxError, match="unknown symbol NOPE: see /api/v1/markets"):
        registry.add("gap", symbols=["NOPE"])
    assert registry.active() == ()
