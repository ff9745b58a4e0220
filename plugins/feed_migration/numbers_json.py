"""Floats in strict JSON, which has no NaN and no infinity. Pure."""


def number_to_json(value: float | None) -> float | str | None:
    """Strict JSON has no NaN and no infinity, so these become Prometheus's strings."""
    if value is None or abs(value) < float("inf"):
        return value
    return "NaN" if value != value else f"{value:+}".replace("inf", "Inf")  # noqa: PLR0124


def number_from_json(value: float | str | None) -> float | None:
    """The inverse of `number_to_json`; raises ValueError on other strings."""
    return None if value is None else float(value)
