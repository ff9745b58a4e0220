"""The key pairs of a file of signing vectors. Only their public halves are ever shown."""

import base64
from collections.abc import Mapping

from nacl.signing import SigningKey

from backpack_feed.constants import SIGNATURE_WINDOW_MS
from backpack_feed.errors import ConfigError
from backpack_feed.replay.report import FormatError, Line, Mismatch, compare
from backpack_feed.wire.signing import Signer, parse_public_key, parse_seed

SECRET_FORMS = ("seed_b64_api_secret", "seed_hex", "keypair64_b64")
PUBLIC_FORMS = ("verifying_key_b64_api_key", "expected_public_key_hex_rfc8032")


class Keys:
    """Signers by the key's name in the file; raises `FormatError` for an unusable key."""

    def __init__(self, keys: Mapping[str, Mapping[str, str]]) -> None:
        self._secrets = {name: _secret(name, forms) for name, forms in keys.items()}

    def __repr__(self) -> str:
        return f"Keys({', '.join(self._secrets)})"

    def signer(self, name: str, window_ms: int = SIGNATURE_WINDOW_MS) -> Signer:
        """Return a signer with the named key."""
        if name not in self._secrets:
            raise FormatError(f"key {name[:40]!r} is not in keys: add it or correct the name")
        secret = self._secrets[name]
        try:
            return Signer(public_key(secret), secret, window_ms=window_ms)
        except ConfigError as error:
            raise FormatError(f"key {name}: {error}") from None

    def any_signature(self, text: str, expected: object) -> str | None:
        """Sign with the key that gives `expected`, or else with the last one.

        Entries that name no key are verified so: an ED25519 signature is the only one of its key.
        """
        signature = None
        for name in self._secrets:
            signature = self.signer(name).sign(text)
            if signature == expected:
                break
        return signature


def public_key(secret: str) -> str:
    """Return the API key in base64 of a secret in any accepted form."""
    return base64.b64encode(bytes(SigningKey(parse_seed(secret)).verify_key)).decode()


def key_line(name: str, forms: Mapping[str, str], keys: Keys) -> Line:
    """Check that every form of the secret gives the same pair, and that it is the public key."""
    api_key = keys.signer(name).api_key
    place = f"key {name}"
    mismatches: tuple[Mismatch, ...] = ()
    try:
        for form in (form for form in SECRET_FORMS if form in forms):
            mismatches += compare(place, f"pair of {form}", api_key, public_key(forms[form]))
        for form in (form for form in PUBLIC_FORMS if form in forms):
            shown = base64.b64encode(parse_public_key(forms[form])).decode()
            mismatches += compare(place, form, shown, api_key)
    except ConfigError as error:
        raise FormatError(f"keys.{name}: {error}") from None
    text = f"key         {name:<36}  {'MISMATCH' if mismatches else 'match':<8}  {api_key}"
    record = {"kind": "key", "name": name, "api_key": api_key, "match": not mismatches}
    return Line(text, record, mismatches)


def _secret(name: str, forms: Mapping[str, str]) -> str:
    for form in SECRET_FORMS:
        if form in forms:
            try:
                parse_seed(forms[form])
            except ConfigError as error:
                raise FormatError(f"keys.{name}.{form}: {error}") from None
            return forms[form]
    raise FormatError(f"keys.{name}: holds no secret: give one of {', '.join(SECRET_FORMS)}")
