"""Two third-party clients sign random requests exactly as we do."""

import base64

import pytest
from backpack_exchange_sdk._base.utils import generate_auth_headers, generate_batch_auth_headers
from backpack_exchange_sdk._base.utils import load_private_key as sdk_key
from bpx.account import Account
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from backpack_feed.wire.signing import Signer, signing_string

# A key of these would be a second instruction, timestamp or window; no endpoint has one.
# Null values are left out here: both clients write "None", and neither of them sends one.
# Decimals and floats as well: both write exponents where the venue wants decimal strings.
names = st.text(min_size=1, max_size=12).filter(
    lambda name: name not in ("instruction", "timestamp", "window")
)
values = st.one_of(st.text(max_size=20), st.integers(-(2**63), 2**63), st.booleans())
bodies = st.dictionaries(names, values, max_size=8)
orders_of_a_batch = st.dictionaries(names, values, min_size=1, max_size=8)
seeds = st.binary(min_size=32, max_size=32)
instructions = st.sampled_from(
    ["balanceQuery", "orderExecute", "orderCancel", "fillHistoryQueryAll", "subscribe"]
)
times = st.integers(0, 2**53)
windows = st.integers(1, 60_000)


def pair(seed: bytes) -> tuple[str, str]:
    """(api_key, private_key) as the venue hands them out."""
    public = bytes(SigningKey(seed).verify_key)
    return base64.b64encode(public).decode(), base64.b64encode(seed).decode()


@settings(deadline=None)
@given(seeds, instructions, bodies, times, windows)
def test_bpx_py_signs_the_same(seed, instruction, body, at, window):
    """Queries and bodies, booleans, any text."""
    ours = Signer(*pair(seed), window_ms=window).headers(instruction, body, timestamp_ms=at)
    theirs = Account(*pair(seed), window)._sign(body, instruction, at, window)
    assert ours["X-Signature"] == theirs


@settings(deadline=None)
@given(seeds, instructions, bodies, times, windows)
def test_backpack_exchange_sdk_sends_the_same_headers(seed, instruction, body, at, window):
    """All four of them."""
    api_key, private_key = pair(seed)
    ours = Signer(api_key, private_key, window_ms=window).headers(
        instruction, body, timestamp_ms=at
    )
    theirs = generate_auth_headers(api_key, sdk_key(private_key), instruction, at, window, body)
    assert ours == {name: theirs[name] for name in ours}


@settings(deadline=None)
@given(seeds, st.lists(orders_of_a_batch, min_size=1, max_size=4), times, windows)
def test_backpack_exchange_sdk_signs_a_batch_the_same(seed, orders, at, window):
    """One block per order, one timestamp and window."""
    api_key, private_key = pair(seed)
    ours = Signer(api_key, private_key, window_ms=window).headers(
        "orderExecute", orders, timestamp_ms=at
    )
    theirs = generate_batch_auth_headers(api_key, sdk_key(private_key), orders, at, window)
    assert ours == {name: theirs[name] for name in ours}


@settings(deadline=None)
@given(seeds, times, windows)
def test_a_subscription_is_signed_the_same(seed, at, window):
    """The four strings of a signed SUBSCRIBE, in the order of the SDK's own websocket client."""
    api_key, private_key = pair(seed)
    headers = generate_auth_headers(api_key, sdk_key(private_key), "subscribe", at, window)
    theirs = [headers[f"X-{name}"] for name in ("API-Key", "Signature", "Timestamp", "Window")]
    signer = Signer(api_key, private_key, window_ms=window)
    assert signer.subscribe_signature(timestamp_ms=at) == theirs
    assert theirs[1] == Account(api_key, private_key, window)._sign({}, "subscribe", at, window)


@settings(deadline=None)
@given(seeds, instructions, bodies, times, st.data())
def test_a_signature_verifies_its_own_text_and_no_other(seed, instruction, body, at, data):
    """One changed character is another request."""
    signature = Signer(*pair(seed)).headers(instruction, body, timestamp_ms=at)
    text = signing_string(instruction, body, at, 5000).encode()
    raw = base64.b64decode(signature["X-Signature"])
    verify_key = SigningKey(seed).verify_key
    verify_key.verify(text, raw)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
    with pytest.raises(BadSignatureError):
        verify_key.verify(changed, raw)
