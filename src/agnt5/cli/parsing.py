"""JSON from the command line."""

from typing import Any

import msgspec

from agnt5.core.model.errors import InvalidInput


def parsed(text: str, option: str, example: str) -> Any:
    """The value that an option's text stands for.

    Raises:
        InvalidInput: It is no JSON.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise InvalidInput(
            f"{option} is no JSON: {error}",
            why="shells take away quotes that aren't themselves quoted",
            fix=f"put single quotes around it, as in {option} '{example}'",
        ) from None
