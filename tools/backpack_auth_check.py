"""Are these Backpack credentials usable from this host? `python -m tools.backpack_auth_check`.

One sentence per check; the exit status is 0 only if all hold. Secrets are never printed.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from backpack_feed.addresses import is_address
from backpack_feed.constants import MILLISECONDS, REST_URL, SIGNATURE_WINDOW_MS, USER_AGENT
from backpack_feed.errors import ConfigError
from backpack_feed.wire.signing import Signer, parse_public_key, parse_seed, read_credentials

MAX_DRIFT_MS = SIGNATURE_WINDOW_MS // 2
TIMEOUT_SECONDS = 10
HTTP_OK = 200
HTTP_UNAUTHORIZED = 401
MESSAGE_LIMIT = 200


@dataclass(frozen=True)
class Check:
    """The outcome of one check as one sentence."""

    name: str
    holds: bool
    sentence: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.holds else 'FAIL'} {self.name}: {self.sentence}"


@dataclass(frozen=True)
class Venue:
    """Where to ask; `clock` returns unix seconds."""

    rest_url: str
    verify: str | bool
    clock: Callable[[], float]

    def get(self, path: str, headers: dict[str, str]) -> requests.Response:
        """Send one GET; raises `requests.RequestException`."""
        return requests.get(
            self.rest_url.rstrip("/") + path,
            headers=headers | {"User-Agent": USER_AGENT},
            verify=self.verify,
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
        )


def run_checks(credentials_file: Path, venue: Venue) -> Iterator[Check]:
    """Yield the checks in order; one that cannot be made because of another fails as well."""
    try:
        api_key, private_key = read_credentials(credentials_file)
        parse_public_key(api_key)
        parse_seed(private_key)
    except ConfigError as error:
        yield Check("key format", holds=False, sentence=f"{error}.")
        signer = None
    else:
        yield Check("key format", holds=True, sentence="both keys are readable ED25519 keys.")
        signer, pair = _check_pair(api_key, private_key, venue)
        yield pair
    drift = _check_clock(venue)
    yield drift
    if signer is None:
        sentence = "not tried, because the keys are unusable."
        yield Check("signed request", holds=False, sentence=sentence)
    else:
        yield _check_signed_request(signer, venue)


def _check_pair(api_key: str, private_key: str, venue: Venue) -> tuple[Signer | None, Check]:
    try:
        signer = Signer(api_key, private_key, clock=venue.clock)
    except ConfigError as error:
        return None, Check("key pair", holds=False, sentence=f"{error}.")
    return signer, Check("key pair", holds=True, sentence="the two keys belong together.")


def _check_clock(venue: Venue) -> Check:
    try:
        asked_at = venue.clock()
        answer = venue.get("/api/v1/time", {})
        answered_at = venue.clock()
        if answer.status_code != HTTP_OK:
            return Check("clock", holds=False, sentence=f"{_refusal(answer)}.")
        venue_ms = int(answer.text)
    except requests.RequestException as error:
        return Check("clock", holds=False, sentence=f"{_unreachable(venue, error)}.")
    except ValueError:
        return Check("clock", holds=False, sentence="/api/v1/time did not answer with a number.")
    # half of the round trip is the best guess at when the venue read its clock
    drift_ms = round((asked_at + answered_at) / 2 * MILLISECONDS) - venue_ms
    way = "ahead of" if drift_ms > 0 else "behind"
    measured = f"this host is {abs(drift_ms)} ms {way} the venue"
    if abs(drift_ms) > MAX_DRIFT_MS:
        sentence = f"{measured}, more than {MAX_DRIFT_MS} ms: synchronise it (NTP)."
        return Check("clock", holds=False, sentence=sentence)
    return Check("clock", holds=True, sentence=f"{measured}.")


def _check_signed_request(signer: Signer, venue: Venue) -> Check:
    try:
        answer = venue.get("/api/v1/capital", signer.headers("balanceQuery"))
    except requests.RequestException as error:
        return Check("signed request", holds=False, sentence=f"{_unreachable(venue, error)}.")
    if answer.status_code != HTTP_OK:
        sentence = f"{_refusal(answer)}{_remedy(answer)}."
        return Check("signed request", holds=False, sentence=sentence)
    return Check("signed request", holds=True, sentence="the venue accepted GET /api/v1/capital.")


def _unreachable(venue: Venue, error: requests.RequestException) -> str:
    host = urlsplit(venue.rest_url).netloc
    return f"{host} cannot be reached ({type(error).__name__}): check --rest-url and --ca-file"


def _refusal(answer: requests.Response) -> str:
    """Errors come as JSON, as plain text and, from the edge, as HTML."""
    try:
        content: Any = answer.json()
        text = f"{content['code']}: {content['message']}"
    except (ValueError, KeyError, TypeError):
        text = answer.text
    text = "".join(c if c.isprintable() else " " for c in text[:MESSAGE_LIMIT])
    return f"the venue answered {answer.status_code} ({text})"


def _remedy(answer: requests.Response) -> str:
    """What to do about a refused signature of a pair that belongs together."""
    text = answer.text.lower()
    if "request has expired" in text or "invalid timestamp" in text:
        return ": synchronise this host's clock (NTP)"
    if "signature" in text or answer.status_code == HTTP_UNAUTHORIZED:
        return (
            ": the key is not registered at the venue, or was revoked: create or enable it there,"
            " or check which account's key file this is"
        )
    return ""


def main(
    argv: Sequence[str] | None = None,
    clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
) -> int:
    """Run the checks of the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.backpack_auth_check", description=__doc__
    )
    parser.add_argument("--credentials", type=Path, required=True, metavar="FILE")
    parser.add_argument("--rest-url", default=REST_URL)
    parser.add_argument("--ca-file", type=Path, help="replaces the public authorities")
    arguments = parser.parse_args(argv)
    if not is_address(arguments.rest_url, "https"):
        parser.error(f"--rest-url: {arguments.rest_url} must be https://host[:port]")
    if arguments.ca_file is not None and not arguments.ca_file.is_file():
        parser.error(f"--ca-file: {arguments.ca_file} is not a file")
    verify = True if arguments.ca_file is None else str(arguments.ca_file)
    all_hold = True
    for check in run_checks(arguments.credentials, Venue(arguments.rest_url, verify, clock)):
        print(check, flush=True)
        all_hold = all_hold and check.holds
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(main())
