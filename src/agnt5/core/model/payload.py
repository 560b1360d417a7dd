"""User values as the runtime sees them: JSON text that it stores and passes on, unread."""

from typing import Final

from msgspec import Raw

PAYLOAD_BYTES_MAX: Final = 2 * 1024 * 1024  # Twice what still commits in a few milliseconds; arbitrary.
NULL: Final = Raw(b"null")
NOTHING: Final = Raw(b"")  # No payload at all, which is not the payload `null`.
