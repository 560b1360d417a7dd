"""How an entry is written: as JSON that people can read, with a checksum beside it."""

from typing import Final
from zlib import crc32

import msgspec

from agnt5.core.journal.entry import Body
from agnt5.core.model.errors import StoreCorrupt

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Body)


def encode_body(body: Body) -> bytes:
    """The body as JSON."""
    return _encoder.encode(body)


def decode_body(text: bytes) -> Body:
    """The body that `encode_body` wrote.

    Raises:
        StoreCorrupt: It is not one of ours.
    """
    try:
        body: Body = _decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(
            f"a journal entry can't be read: {error}",
            why="the store was edited, damaged, or written by other software",
            fix="restore the journal from a backup; the other runs go on meanwhile",
        ) from error
    return body


def checksum(text: bytes) -> int:
    """What is stored beside a body, to tell whether it is still the one that was written."""
    return crc32(text)
