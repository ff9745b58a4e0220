"""What `backpack-feed sign` takes: signing vectors, or request descriptions with credentials."""

from collections.abc import Callable, Iterator
from pathlib import Path

from backpack_feed.replay import signing_vectors
from backpack_feed.replay.files import named, parse, parse_as, read_body
from backpack_feed.replay.report import FormatError, Line
from backpack_feed.replay.sign_requests import RequestDescription, sign

_FORMS = (
    'give signing vectors with keys, or {"instruction": "…", "query": {…}} or an array of such'
    " with --credentials FILE"
)


def sign_file(
    path: Path, credentials_file: Path | None, clock: Callable[[], float]
) -> Iterator[Line]:
    """Sign what the file holds; `clock` gives unix seconds. Raises `FormatError`."""
    body = read_body(path)
    content = parse(path, body)
    if isinstance(content, dict) and "keys" in content:
        vectors = parse_as(path, body, signing_vectors.SigningFile)
        yield from named(path, signing_vectors.replay(vectors))
        return
    if isinstance(content, dict) and "instruction" in content:
        requests = [parse_as(path, body, RequestDescription)]
    elif isinstance(content, list) and content:
        requests = parse_as(path, body, list[RequestDescription])
    else:
        raise FormatError(f"{path}: is no file of requests: {_FORMS}")
    if credentials_file is None:
        raise FormatError(f"{path}: holds requests without keys: add --credentials FILE")
    yield from named(path, sign(requests, credentials_file, clock))
