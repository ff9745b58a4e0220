"""Frames as the venue writes them, read by a websocket library's own parser."""

import zlib

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.streams import StreamReader

from backpack_sandbox.sockets.frames import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    close_frame,
    frame,
    text_encoder,
)

TEXTS = [b"", b"x", b"y" * 125, b"z" * 126, b"a" * 65_535, b"b" * 65_536, b'{"data":{"E":1}}']


def parsed(content: bytes, extension: PerMessageDeflate | None = None) -> list[Frame]:
    """Every frame in `content`; what is no whole unmasked frame raises."""
    reader = StreamReader()
    reader.feed_data(content)
    reader.feed_eof()
    frames = []
    while True:
        ended = reader.at_eof()
        with pytest.raises(StopIteration) as done:
            next(ended)
        if done.value.value:
            return frames
        parsing = Frame.parse(
            reader.read_exact, mask=False, extensions=[extension] if extension else None
        )
        with pytest.raises(StopIteration) as done:
            next(parsing)
        frames.append(done.value.value)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("payload", TEXTS, ids=len)
def test_a_frame_of_any_size_is_read_as_it_was_written(opcode, payload):
    """Seven, sixteen and sixty-four bits of length, final, without a mask."""
    (read,) = parsed(frame(opcode, payload))
    assert (read.opcode, bytes(read.data), read.fin, read.rsv1) == (opcode, payload, True, False)


def test_a_close_frame_carries_code_and_message_within_a_control_frames_size():
    """125 bytes with the code; a longer message is cut."""
    (read,) = parsed(close_frame(1001, b"m" * 500))
    assert read.opcode == CLOSE
    assert bytes(read.data) == (1001).to_bytes(2) + b"m" * 123
    (ping,) = parsed(frame(PING, b"opaque"))
    assert bytes(ping.data) == b"opaque"


@pytest.mark.parametrize("window_bits", [9, 12, 15])
@pytest.mark.parametrize("takes_over", [True, False])
def test_deflated_frames_inflate_in_order_whatever_was_agreed(window_bits, takes_over):
    """A decompressor with the agreed window reads each, small or larger than the window."""
    encode = text_encoder(window_bits, context_taken_over=takes_over)
    messages = [*TEXTS, *(f'{{"u":{number}}}'.encode() * 40 for number in range(50))]
    content = b"".join(encode(message) for message in messages)
    extension = PerMessageDeflate(
        remote_no_context_takeover=not takes_over,
        local_no_context_takeover=False,
        remote_max_window_bits=window_bits,
        local_max_window_bits=15,
    )
    assert [bytes(read.data) for read in parsed(content, extension)] == messages


def test_a_context_that_is_taken_over_makes_later_frames_much_smaller():
    """The frames of one market differ in a few digits."""
    messages = [
        f'{{"data":{{"E":{number},"e":"depth","s":"SOL_USDC"}},"stream":"depth.SOL_USDC"}}'.encode()
        for number in range(1_790_900_001_000_000, 1_790_900_001_000_100)
    ]
    plain, alone, in_context = (
        sum(len(encode(message)) for message in messages)
        for encode in (
            text_encoder(0, context_taken_over=True),
            text_encoder(15, context_taken_over=False),
            text_encoder(15, context_taken_over=True),
        )
    )
    assert in_context < alone / 3 < plain / 3


def test_sockets_without_a_context_share_one_frame_and_others_never(monkeypatch):
    """One object goes to all: it is compressed once."""
    message = b'{"data":{}}'
    assert text_encoder(15, context_taken_over=False)(message) is text_encoder(
        13, context_taken_over=False
    )(message)
    assert text_encoder(0, context_taken_over=True)(message) is text_encoder(
        0, context_taken_over=True
    )(message)
    monkeypatch.setattr(zlib, "compressobj", None)
    text_encoder(15, context_taken_over=False)(message)
