"""The parameters that one kind of fault has of its own."""

from dataclasses import dataclass

from backpack_sandbox.errors import SandboxError

type Value = float | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number from `minimum` to `maximum`, or one of `choices` where there are some.

    The unit is the end of the name, as in `delay_ms`.
    """

    name: str
    default: Value
    means: str
    minimum: float = 0.0
    maximum: float = 1e9
    choices: tuple[str, ...] = ()

    def check(self, value: object) -> Value:
        """Give `value` back; SandboxError with what it must be otherwise."""
        if self.choices:
            if value in self.choices:
                return str(value)
            raise SandboxError(f"{self.name} was {value!r}, must be {self.range}")
        is_number = not isinstance(value, bool)  # True is an int
        if is_number and isinstance(value, int | float) and self.minimum <= value <= self.maximum:
            return float(value)
        shown = f"{value:g}" if isinstance(value, float) else repr(value)
        raise SandboxError(f"{self.name} was {shown}, must be {self.range}")

    def parse(self, text: str) -> Value:
        """The value that a command line gives as text."""
        if self.choices:
            return self.check(text)
        try:
            return self.check(float(text))
        except ValueError:
            return self.check(text)

    @property
    def range(self) -> str:
        """What may be given, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return f"a number from {self.minimum:g} to {self.maximum:g}"
