"""Which certificate a new TLS connection gets."""

import ssl
from datetime import UTC, datetime, timedelta

from backpack_sandbox.account.credentials import ServerCertificates
from backpack_sandbox.constants import CONTROL_NAME
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.registry import FaultRegistry


def faulty_context(certificates: ServerCertificates, faults: FaultRegistry) -> ssl.SSLContext:
    """The venue's TLS context; while `cert_expired` hits a handshake, with an old certificate.

    A client that asks for `CONTROL_NAME` always gets the good one, so that a fault can be ended.
    """
    good = certificates.context()
    expired = certificates.context(not_after=datetime.now(UTC) - timedelta(days=1))
    handshakes = 0

    def choose(socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        nonlocal handshakes
        handshakes += 1
        hitting = faults.named({FaultName.CERT_EXPIRED})
        if name != CONTROL_NAME and any(fault.draws(handshakes) for fault in hitting):
            socket.context = expired

    good.sni_callback = choose
    return good
