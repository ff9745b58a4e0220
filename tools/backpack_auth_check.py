"""Says whether the Backpack credentials in a file are usable from this host.

    python -m tools.backpack_auth_check --credentials FILE

Prints one sentence per check and never a secret. Exit status: 0 all checks hold, 1 at least one
does not, 2 the command line is wrong.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from backpack_feed.constants import REST_URL, SIGNATURE_WINDOW_MS
from backpack_feed.errors import (
    AuthenticationError,
    ConfigError,
    FeedError,
    RetryableError,
    UnreachableError,
    UntrustedCertificateError,
    VenueError,
)
from backpack_feed.wire.decode import decode_capital
from backpack_feed.wire.rest import BALANCE_QUERY, CAPITAL_PATH, BackpackRest
from backpack_feed.wire.signing import Signer, parse_public_key, parse_seed, read_credentials

MAX_DRIFT_MS = SIGNATURE_WINDOW_MS // 2
ATTEMPTS = 2
ALL_HOLD, SOMETHING_FAILS = 0, 1


@dataclass(frozen=True)
class Check:
    """The outcome of one check as one sentence."""

    name: str
    holds: bool
    sentence: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.holds else 'FAIL'} {self.name}: {self.sentence}."


async def run_checks(
    credentials_file: Path, rest: BackpackRest, clock: Callable[[], float]
) -> AsyncIterator[Check]:
    """Yield the checks in order; one that cannot be made because of another fails as well."""
    try:
        api_key, private_key = read_credentials(credentials_file)
        parse_public_key(api_key)
        parse_seed(private_key)
    except ConfigError as error:
        yield Check("key format", holds=False, sentence=str(error))
    else:
        yield Check("key format", holds=True, sentence="both keys are readable ED25519 keys")
        rest.signer, pair = _check_pair(api_key, private_key, clock)
        yield pair
    yield await _check_clock(rest, clock)
    if rest.signer is None:
        sentence = "not tried, because the keys are unusable"
        yield Check("signed request", holds=False, sentence=sentence)
    else:
        yield await _check_signed_request(rest)


def _check_pair(
    api_key: str, private_key: str, clock: Callable[[], float]
) -> tuple[Signer | None, Check]:
    try:
        signer = Signer(api_key, private_key, clock=clock)
    except ConfigError as error:
        return None, Check("key pair", holds=False, sentence=str(error))
    return signer, Check("key pair", holds=True, sentence="the two keys belong together")


async def _check_clock(rest: BackpackRest, clock: Callable[[], float]) -> Check:
    try:
        drift = await rest.clock_drift(clock)
    except FeedError as error:
        return Check("clock", holds=False, sentence=_sentence(rest, error))
    if abs(drift.ms) > MAX_DRIFT_MS:
        sentence = f"{drift}, more than {MAX_DRIFT_MS} ms: synchronise it (NTP)"
        return Check("clock", holds=False, sentence=sentence)
    return Check("clock", holds=True, sentence=str(drift))


async def _check_signed_request(rest: BackpackRest) -> Check:
    try:
        # not rest.capital(), which would follow the venue's clock where this one is to be judged
        decode_capital(await rest.get(CAPITAL_PATH, instruction=BALANCE_QUERY))
    except FeedError as error:
        return Check("signed request", holds=False, sentence=_sentence(rest, error))
    return Check("signed request", holds=True, sentence=f"the venue accepted GET {CAPITAL_PATH}")


def _sentence(rest: BackpackRest, error: FeedError) -> str:
    host = urlsplit(rest.rest_url).netloc
    match error:
        case UntrustedCertificateError():
            return f"the certificate of {host} is not trusted: check --ca-file and who is there"
        case UnreachableError():
            return f"{host} cannot be reached: check --rest-url and the network ({error})"
        case AuthenticationError():
            return f"the {error}: {_remedy(error)}"
        case VenueError():
            return f"the {error}"
        case RetryableError():
            return f"{error}: try again later"
        case _:
            return f"the venue answered something unreadable ({error})"


def _remedy(error: AuthenticationError) -> str:
    """What to do about a refused signature of a pair that belongs together."""
    if error.blames_clock:
        return "synchronise this host's clock (NTP)"
    return (
        "the key is not registered at the venue, or was revoked: create or enable it there, or"
        " check which account's key file this is"
    )


async def _print_checks(
    credentials_file: Path, rest: BackpackRest, clock: Callable[[], float]
) -> bool:
    all_hold = True
    async with rest:
        async for check in run_checks(credentials_file, rest, clock):
            print(check, flush=True)
            all_hold = all_hold and check.holds
    return all_hold


def main(
    argv: Sequence[str] | None = None,
    clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
) -> int:
    """Run the checks of the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.backpack_auth_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--credentials", type=Path, required=True, metavar="FILE")
    parser.add_argument("--rest-url", default=REST_URL)
    parser.add_argument("--ca-file", type=Path, help="replaces the public authorities")
    parser.add_argument("--proxy", help="http(s)://[user:password@]host:port")
    arguments = parser.parse_args(argv)
    try:
        rest = BackpackRest(
            arguments.rest_url,
            ca_file=arguments.ca_file,
            proxy=arguments.proxy,
            attempts=ATTEMPTS,
        )
    except ConfigError as error:
        place, _, problem = str(error).partition(":")
        parser.error(f"--{place.replace('_', '-')}:{problem}")
    all_hold = asyncio.run(_print_checks(arguments.credentials, rest, clock))
    return ALL_HOLD if all_hold else SOMETHING_FAILS


if __name__ == "__main__":
    sys.exit(main())
