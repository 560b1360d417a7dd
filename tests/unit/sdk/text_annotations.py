"""Annotations as text: what `from __future__ import annotations` makes of a user's module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agnt5 import WorkflowContext

if TYPE_CHECKING:
    from nowhere import Missing


@dataclass
class A:
    n: int


@dataclass
class B:
    n: int


@dataclass
class C:
    n: int


@dataclass
class HoldsA:
    items: list[A]


@dataclass
class HoldsB:
    items: list[B]


@dataclass
class HoldsC:
    items: list[C]


@dataclass
class HoldsAll:
    a: HoldsA
    b: HoldsB
    c: HoldsC


async def body(context: WorkflowContext, first: HoldsAll, rest: list[B], other: Missing = None) -> dict[str, C]:
    """A body whose annotations are all text, and one of them can't be resolved."""
    raise NotImplementedError
