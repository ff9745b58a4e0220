"""ED25519-signed heads of the journal, and the files of their keys.

A head is `seq:hash` of one event, so its signature covers every event up to it. The signing key is
64 hex digits in a mounted file; the public keys that are trusted stand beside it, one in a line,
each with the event from which on everything is signed: `HEX from SEQ`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from feed_migration.durable import write_text
from feed_migration.errors import JournalUnavailable, Refused, UsageError
from feed_migration.journal.chain import canonical_json

# What is signed says of what kind it is, so that no signature can be moved to another
HEAD_DOMAIN = b"\x02backpack-migrate/journal/head/v1\x00"
SEAL_DOMAIN = b"\x03backpack-migrate/journal/seal/v1\x00"
_KEY_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Head:
    """Event `seq` has `hash`, said at unix time `at`; `key` is public. Both "" where unsigned."""

    seq: int
    hash: str
    at: float
    key: str = ""
    signature: str = ""

    def is_signed_by(self, trusted: frozenset[str], domain: bytes = HEAD_DOMAIN) -> bool:
        """Return whether the signature is good and its key one of `trusted` (hex)."""
        if self.key not in trusted:
            return False
        try:
            signature = bytes.fromhex(self.signature)
            VerifyKey(bytes.fromhex(self.key)).verify(_message(self, domain), signature)
        except (BadSignatureError, TypeError, ValueError):
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class Trusted:
    """Public keys (hex) that are believed; every event from `since` on has a head that one signed.

    None where none of them says since when: earlier versions made them.
    """

    keys: frozenset[str] = frozenset()
    since: int | None = None


@dataclass(frozen=True, kw_only=True)
class AuditPlace:
    """The files of the audit: where keys are mounted and heads are anchored."""

    signing_key: Path
    trusted_keys: Path
    anchors: Path

    @classmethod
    def of(cls, home: Path, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the places in a state directory; a variable moves one of them out of it."""
        audit = home / "audit"
        return cls(
            signing_key=Path(environ.get("BACKPACK_AUDIT_KEY_FILE") or audit / "signing.key"),
            trusted_keys=Path(environ.get("BACKPACK_AUDIT_TRUSTED_FILE") or audit / "trusted.keys"),
            anchors=Path(environ.get("BACKPACK_AUDIT_ANCHOR_FILE") or audit / "anchors.jsonl"),
        )


class HeadSigner:
    """Signs heads; the key itself is never shown."""

    def __init__(self, text: str, source: str) -> None:
        try:
            self._key = SigningKey(_key_bytes(text))
        except ValueError:
            # not with the text: it may be most of a key
            raise JournalUnavailable(
                f"{source}: not 64 hex digits of an ED25519 key",
                "make one with `backpack-migrate audit key`, or mount the right file",
            ) from None
        self.public_key = self._key.verify_key.encode().hex()

    def __repr__(self) -> str:
        return f"HeadSigner({self.public_key})"

    def sign(self, head: Head, domain: bytes = HEAD_DOMAIN) -> Head:
        """Return `head` with this key's signature."""
        signed = Head(seq=head.seq, hash=head.hash, at=head.at, key=self.public_key)
        signature = self._key.sign(_message(signed, domain)).signature.hex()
        return Head(**{**signed.__dict__, "signature": signature})


def load_signer(place: AuditPlace) -> HeadSigner | None:
    """Return the signer of a deployment, None where it never had a key.

    Raises `JournalUnavailable` where there must be a key and it cannot be read: an unsigned head
    behind signed ones would look like tampering.
    """
    try:
        text = place.signing_key.read_text("ascii")
    except FileNotFoundError:
        if not place.trusted_keys.exists():
            return None
        problem = "missing, though heads were signed before"
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "not text"
    else:
        return HeadSigner(text, str(place.signing_key))
    raise JournalUnavailable(
        f"{place.signing_key}: the audit's signing key cannot be read ({problem})",
        "mount it for this process, or run as the user that owns it",
    )


def no_key(place: AuditPlace | None) -> JournalUnavailable:
    """Return the error of a process that has no key, in whose journal the others sign."""
    file = f"{place.signing_key}: " if place else ""
    return JournalUnavailable(
        f"{file}this process has no signing key, and the journal is signed",
        "mount the key (BACKPACK_AUDIT_KEY_FILE) and the public keys (BACKPACK_AUDIT_TRUSTED_FILE)",
    )


def load_trusted(path: Path) -> Trusted:
    """Return the public keys in `path`, none where it does not exist; raises UsageError."""
    try:
        lines = path.read_text("ascii").splitlines()
    except FileNotFoundError:
        return Trusted()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise UsageError(f"{path}: cannot be read ({why})", "name a file of public keys") from error
    try:
        told = [_trusted_key(line) for line in lines if line.strip()]
    except ValueError:
        raise UsageError(
            f"{path}: not one public key of 64 hex digits per line, with or without `from SEQ`",
            "correct the file",
        ) from None
    if not told:
        raise UsageError(f"{path}: names no public key", "bring it back, or remove it")
    since = [seq for _, seq in told if seq is not None]
    return Trusted(keys=frozenset(key for key, _ in told), since=min(since, default=None))


def make_key(place: AuditPlace, since: int | None = 1) -> str:
    """Make a signing key, for its owner's eyes only, and trust it; return the public key (hex).

    `since` is the first event that it signs: that of a new journal; None where `trust_since` says
    it later. Raises `Refused` where there is a key already.
    """
    key = SigningKey.generate()
    public = key.verify_key.encode().hex()
    try:
        _create(place.signing_key, key.encode().hex() + "\n")
        with place.trusted_keys.open("a", encoding="ascii") as stream:
            stream.write(_trusted_line(public, since))
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError:
        raise Refused(
            f"{place.signing_key}: there is a signing key already",
            "move it away first; its public key stays trusted",
        ) from None
    except OSError as error:
        raise _unwritable(place, error) from error
    return public


def trust_since(place: AuditPlace, public_key: str, since: int) -> None:
    """Say beside a trusted key that every event from `since` on is signed."""
    path = place.trusted_keys.resolve()
    try:
        lines = path.read_text("ascii").splitlines(keepends=True)
        told = [line for line in lines if line.split() != [public_key]]
        write_text(path, "".join([*told, _trusted_line(public_key, since)]))
    except OSError as error:
        raise _unwritable(place, error) from error


def _unwritable(place: AuditPlace, error: OSError) -> JournalUnavailable:
    return JournalUnavailable(
        f"{error.filename or place.signing_key}: cannot be written ({error.strerror})",
        "make the directory writable, or name another with BACKPACK_AUDIT_KEY_FILE",
    )


def _create(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _trusted_line(public_key: str, since: int | None) -> str:
    return f"{public_key}\n" if since is None else f"{public_key} from {since}\n"


def _trusted_key(line: str) -> tuple[str, int | None]:
    """Return the key of a line, and the event that it names; raises ValueError."""
    match line.split():
        case [key]:
            return _key_bytes(key).hex(), None
        case [key, "from", seq] if seq.isdigit():
            return _key_bytes(key).hex(), int(seq)
        case _:
            raise ValueError(line)


def _key_bytes(text: str) -> bytes:
    raw = bytes.fromhex(text.strip())
    if len(raw) != _KEY_BYTES:
        raise ValueError(len(raw))
    return raw


def _message(head: Head, domain: bytes) -> bytes:
    facts = {"at": head.at, "hash": head.hash, "key": head.key, "seq": head.seq}
    return domain + canonical_json(facts).encode("ascii")
