"""Settings that cannot be are refused where they are made."""

import pytest

from backpack_sandbox import SandboxConfig, SandboxError


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("profile", "huge", "profile was 'huge': must be one of small, venue"),
        ("state_dir", "var", "state_dir was 'var': must be a Path"),
        ("port", 65536, "port was 65536: must be a whole number from 0 to 65535"),
        ("seed", "7", "seed was '7': must be a whole number"),
        ("rate", 0, "rate was 0: must be a number above 0"),
        ("rate", float("nan"), "rate was nan: must be a number above 0"),
        ("trades_per_second", -1.0, "trades_per_second was -1.0: must be a number above 0"),
        ("tick_seconds", True, "tick_seconds was True: must be a number above 0"),
        ("requests_per_minute", 0, "requests_per_minute was 0: must be a whole number above 0"),
        ("checkpoint_bytes", 1.5, "checkpoint_bytes was 1.5: must be a whole number above 0"),
        ("taker_delay_seconds", -0.1, "taker_delay_seconds was -0.1: must be a number of at"),
        ("first_ping_seconds", (2, 1), "first_ping_seconds was (2, 1): must be (earliest, lat"),
        ("faults", "gap", "faults was 'gap': must be a tuple of names"),
    ],
)
def test_a_setting_that_cannot_be_is_named(tmp_path, setting, value, says):
    """With what it must be."""
    with pytest.raises(SandboxError) as refused:
        SandboxConfig(**{"state_dir": tmp_path, setting: value})
    assert str(refused.value).startswith(f"SandboxConfig: {says}")
