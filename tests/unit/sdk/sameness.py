"""Tells whether two values are the same: of the same type, equal, down to what `==` doesn't see."""

import math
from dataclasses import is_dataclass
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from agnt5.sdk import serde
from agnt5.sdk.usertypes import user_types


def is_same(one: Any, other: Any) -> bool:
    """Whether nobody could tell the two apart, other than by `is`."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, complex):
        return is_same(one.real, other.real) and is_same(one.imag, other.imag)
    if isinstance(one, Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, datetime | time):
        return (one.isoformat(), one.fold, one.tzinfo) == (other.isoformat(), other.fold, other.tzinfo)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(any(is_same(item, its) for its in other) for item in one)
    if isinstance(one, dict):
        return is_same(list(one.items()), list(other.items()))
    if is_dataclass(one):
        return is_same(vars(one), vars(other)) if hasattr(one, "__dict__") else one == other
    return bool(one == other)


def passed_on(value: Any, *annotations: Any) -> Any:
    """The value after a journal: written under these annotations, and read by a process that has never seen it."""
    return serde.decode(serde.encode(value, user_types(*annotations)), user_types(*annotations))
