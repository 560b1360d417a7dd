"""Our own errors, written down so that the other side can make them again."""

from typing import Final

import msgspec

from agnt5.core.model.errors import Agnt5Error
from agnt5.core.model.run import Failure

MESSAGE_CHARS_MAX: Final = 8 * 1024
TRACEBACK_CHARS_MAX: Final = 32 * 1024


def failure_of(error: Agnt5Error) -> Failure:
    """The error with all its parts.

    Args:
        error: One of ours; its facts are plain JSON values.
    """
    return Failure(
        type=f"{type(error).__module__}:{type(error).__qualname__}",
        message=clip(str(error), MESSAGE_CHARS_MAX),
        data=msgspec.Raw(msgspec.json.encode({"parts": error.parts()})),
    )


def is_type(failure: Failure, cls: type[Agnt5Error]) -> bool:
    """Whether this is what was written down of one of our errors."""
    return failure.type.rpartition(":")[2] == cls.__qualname__


def clip(text: str, chars_max: int) -> str:
    """The text, or its beginning and a mark that something is missing."""
    return text if len(text) <= chars_max else f"{text[:chars_max]}… ({len(text) - chars_max} more)"
