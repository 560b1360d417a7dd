"""What tells one version of a component's code from another."""

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from types import CodeType
from typing import Any

_files: dict[str, str] = {}


def fingerprint(fn: Callable[..., Any]) -> str:
    """A short text that differs where the code may behave differently.

    It covers the whole file that defines the function, since a body rests on what stands around
    it; of code without a file, such as a notebook's, the bytecode and its constants.
    """
    code = getattr(fn, "__code__", None)
    if code is None:
        return ""
    known = _files.get(code.co_filename)
    if known is None:
        try:
            known = _digest(Path(code.co_filename).read_bytes())
        except OSError:
            return _digest(_content(code))
        _files[code.co_filename] = known
    return known


def _content(code: CodeType) -> bytes:
    parts = [code.co_code, repr(code.co_names).encode()]
    for constant in code.co_consts:
        parts.append(_content(constant) if isinstance(constant, CodeType) else _text(constant).encode())
    return b"".join(parts)


def _text(constant: object) -> str:
    # The order of a set differs from one process to the next.
    return repr(sorted(map(repr, constant))) if isinstance(constant, frozenset) else repr(constant)


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=6).hexdigest()
