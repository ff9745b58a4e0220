"""Websocket frames as a server sends them (RFC 6455, unmasked), plain or deflated (RFC 7692)."""

import zlib
from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Final

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

FINAL_BIT: Final = 0x80
DEFLATED_BIT: Final = 0x40
CONTROL_PAYLOAD_MAX: Final = 125
SHORT_MAX: Final = 125
MEDIUM_MAX: Final = 0xFFFF

DEFLATE_TAIL: Final = b"\x00\x00\xff\xff"
DEFLATE_LEVEL: Final = 1
WINDOW_BITS_MAX: Final = 15
# a frame of a market is far below 4 KiB: a small window starts anew in 5 us, a full one in 60
LONE_WINDOW_BITS: Final = 12
LONE_MEMORY_LEVEL: Final = 5

_MEDIUM: Final = Struct(">BBH").pack
_LONG: Final = Struct(">BBQ").pack
_CODE: Final = Struct(">H").pack

type Encode = Callable[[bytes], bytes]
"""From the text of a message to its frame on the wire."""


def frame(opcode: int, payload: bytes, flags: int = FINAL_BIT) -> bytes:
    """One whole frame."""
    size = len(payload)
    if size <= SHORT_MAX:
        return bytes((flags | opcode, size)) + payload
    if size <= MEDIUM_MAX:
        return _MEDIUM(flags | opcode, SHORT_MAX + 1, size) + payload
    return _LONG(flags | opcode, SHORT_MAX + 2, size) + payload


def close_frame(code: int, message: bytes = b"") -> bytes:
    """A Close frame; the message is cut to what a control frame may carry."""
    return frame(CLOSE, (_CODE(code) + message)[:CONTROL_PAYLOAD_MAX])


class Shared:
    """Encodes each message once, however many sockets send it one after the other."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._message = b""
        self._frame = encode(b"")

    def __call__(self, message: bytes) -> bytes:
        """Return the frame; the same object is not encoded twice in a row."""
        if message is not self._message:
            self._frame = self._encode(message)
            self._message = message
        return self._frame


def _deflate_alone(message: bytes, window_bits: int) -> bytes:
    compressor = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -window_bits, LONE_MEMORY_LEVEL)
    packed = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return frame(TEXT, packed.removesuffix(DEFLATE_TAIL), FINAL_BIT | DEFLATED_BIT)


class _InContext:
    """Compresses against all that this one socket was sent before: its history cannot be shared."""

    def __init__(self, window_bits: int) -> None:
        self._compressor = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -window_bits)

    def __call__(self, message: bytes) -> bytes:
        compressor = self._compressor
        packed = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return frame(TEXT, packed.removesuffix(DEFLATE_TAIL), FINAL_BIT | DEFLATED_BIT)


_plain = Shared(partial(frame, TEXT))
_alone = {
    bits: Shared(partial(_deflate_alone, window_bits=bits))
    for bits in range(9, LONE_WINDOW_BITS + 1)
}


def text_encoder(window_bits: int, *, context_taken_over: bool) -> Encode:
    """What turns a socket's messages into frames.

    `window_bits` is what the handshake agreed on: 0 for no compression, else 9 to 15. A socket
    that takes the context over has an encoder of its own, which must see every message once and in
    order; all others share theirs.
    """
    if not window_bits:
        return _plain
    if context_taken_over:
        return _InContext(window_bits)
    return _alone[min(window_bits, LONE_WINDOW_BITS)]
