"""The REST client's way to a venue: addresses, certificates, proxies."""

import ssl
import traceback

import pytest
import trustme
from aiohttp import web

from backpack_feed.errors import (
    ConfigError,
    UnreachableError,
    UntrustedCertificateError,
)
from backpack_feed.wire.rest import BackpackRest
from tests.support.backpack_fixtures import load_fixture
from tests.support.conditions import eventually
from tests.support.connect_proxy import connect_proxy
from tests.support.rest_client import client_of
from tests.support.scripted_venue import scripted_venue

KEY = load_fixture("signing_vectors")["keys"]["seed_00_1f"]


@pytest.fixture
async def venue(tmp_path):
    async with scripted_venue(tmp_path) as venue:
        yield venue


async def test_an_untrusted_certificate_ends_it_at_once(venue):
    """Public authorities do not vouch for this venue, and asking again changes nothing."""
    async with client_of(venue, ca_file=None) as rest:
        with pytest.raises(UntrustedCertificateError, match="is not trusted: "):
            await rest.time_ms()
    assert rest.counters.requests == 1


async def test_a_silent_venue_is_given_up(venue):
    """A timeout is retryable and has a name."""

    class Silent(web.Response):
        async def prepare(self, request):
            await request.content.wait_eof()
            await eventually(lambda: request.transport is None or request.transport.is_closing())
            return await super().prepare(request)

    venue.failures["/api/v1/time"] = [Silent()]
    async with client_of(venue, attempts=1, timeout_seconds=0.2) as rest:
        with pytest.raises(UnreachableError, match="TimeoutError"):
            await rest.time_ms()


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example",
        "https://api.example/path",
        "https://api.example?x=1",
        "https://api.example#x",
        "https://user:secret@api.example",
        "https://",
        "https://api.example\\@evil.example",
        "https://api example",
        "https://api.example:0",
        "https://api.example:99999",
        "https://[::1",
        "file:///etc/passwd",
    ],
)
def test_only_a_bare_https_address_is_a_venue(url):
    """Signed requests go to one host and nowhere else; a password is not quoted."""
    with pytest.raises(ConfigError, match=r"rest_url: .*must be https://host") as caught:
        BackpackRest(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://API.example:8443/", "https://API.example:8443"),
        ("https://[::1]:443", "https://[::1]:443"),
        ("https://127.0.0.1", "https://127.0.0.1"),
    ],
)
def test_a_bare_https_address_is_taken(url, kept):
    """With a port, a trailing slash, an IPv6 address."""
    assert BackpackRest(url).rest_url == kept


async def test_requests_go_through_the_proxy(venue):
    """A tunnel to the venue, whose certificate is verified all the same."""
    async with connect_proxy() as proxy, client_of(venue, proxy=proxy.url()) as rest:
        assert (await rest.depth("SOL_USDC")).last_update_id == 1000
        assert proxy.tunnels == [venue.rest_url.removeprefix("https://")]
        async with client_of(venue, proxy=proxy.url(), ca_file=None) as stranger:
            with pytest.raises(UntrustedCertificateError):
                await stranger.time_ms()


async def test_a_proxy_may_speak_tls_itself(venue, tmp_path):
    """A tunnel within TLS; `ca_file` vouches for both ends."""
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    ca_file = tmp_path / "both.pem"
    ca_file.write_bytes(authority.cert_pem.bytes() + venue.ca_file.read_bytes())
    async with connect_proxy("me:pa55", tls) as proxy:
        async with client_of(venue, proxy=proxy.url("me:pa55"), ca_file=ca_file) as rest:
            assert (await rest.depth("SOL_USDC")).last_update_id == 1000
        assert len(proxy.tunnels) == 1
        async with client_of(venue, proxy=proxy.url("me:pa55"), attempts=1) as rest:
            with pytest.raises(UnreachableError):
                await rest.time_ms()
        assert len(proxy.tunnels) == 1


async def test_a_proxy_gets_its_password_and_nobody_else_does(venue, caplog):
    """Reserved characters are percent-encoded in a URL; neither errors nor logs have the secret."""
    caplog.set_level("DEBUG")
    async with connect_proxy("me:p@ss/w:rd") as proxy:
        async with client_of(venue, proxy=proxy.url("me:p%40ss%2Fw%3Ard")) as rest:
            await rest.time_ms()
            assert "p%40ss" not in repr(vars(rest)) + repr(vars(rest._transport))
        async with client_of(venue, proxy=proxy.url("me:wr0ng"), attempts=1) as rest:
            with pytest.raises(UnreachableError, match="the proxy answered 407") as caught:
                await rest.time_ms()
        assert (len(proxy.tunnels), proxy.refused) == (1, 1)
    async with client_of(venue, proxy=proxy.url("me:wr0ng"), attempts=1) as rest:
        with pytest.raises(UnreachableError, match="the proxy cannot be reached") as unreachable:
            await rest.time_ms()
    told = "".join(
        "".join(traceback.format_exception(error.value)) + repr(error.value)
        for error in (caught, unreachable)
    )
    secrets = ["p@ss", "p%40ss", "wr0ng"]
    assert [s for s in secrets if s in told + caplog.text] == []


@pytest.mark.parametrize(
    "url",
    ["socks5://h:1", "http://me:secret@h:0", "http://h:1/x", "h:1", "http://[::1", "http://:1"],
)
def test_a_proxy_that_is_none_is_a_configuration_error(url):
    """Its password is not quoted."""
    with pytest.raises(ConfigError, match="proxy: must be") as caught:
        BackpackRest("https://127.0.0.1", proxy=url)
    assert "secret" not in str(caught.value)
