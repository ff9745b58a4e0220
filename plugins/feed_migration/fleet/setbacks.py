"""What went wrong with single instances while the others were acted on."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from feed_migration.errors import FleetUnavailable, InstanceStuck


class Setbacks:
    """Collects `InstanceStuck` by instance, so that one instance does not hold up the others."""

    def __init__(self) -> None:
        self._errors: dict[str, InstanceStuck] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Note an `InstanceStuck` of the block under `name` and go on after the block."""
        try:
            yield
        except InstanceStuck as error:
            self._errors.setdefault(name, error)

    def spared(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` that nothing has happened to so far."""
        return [name for name in names if name not in self._errors]

    def check(self, last: FleetUnavailable | None = None) -> None:
        """Raise what was noted, with `last` behind it, as one error."""
        errors = [*self._errors.values(), *([last] if last is not None else [])]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            problems = "; ".join(dict.fromkeys(error.problem for error in errors))
            remedies = "; ".join(dict.fromkeys(error.remedy for error in errors))
            raise FleetUnavailable(problems, remedies) from errors[0]
