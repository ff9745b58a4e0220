"""How clients of three languages say no, in one form."""


class RefusedError(Exception):
    """A client raised: the names of its error's classes, most special first, and its message."""

    def __init__(self, kinds: tuple[str, ...], message: str) -> None:
        super().__init__(f"{kinds[0]}: {message}")
        self.kinds = kinds
        self.message = message
