"""How runs and operations are named, so that a name never depends on when or where it is made.

A run id is 32 hexadecimal digits: 12 of time in milliseconds, then 20 of chance. Ids of runs
that start together are neighbours in the store, which keeps a commit small. A child's id takes
its parent's time and, in place of chance, the identity of the operation that started it: asked
for again, after a crash or on a retry, it is the same run.
"""

from hashlib import blake2b
from typing import NewType

RunId = NewType("RunId", str)
WorkerId = NewType("WorkerId", str)
OperationKey = NewType("OperationKey", str)

RUN_ID_CHARS = 32
TIME_CHARS = 12
ENTROPY_BITS = 80
KEY_BYTES = 12  # 96 bits: a collision needs about 2**48 operations in one generation of one run.


def new_run_id(now_us: int, entropy: int) -> RunId:
    """Name a run that nobody asked for before.

    Args:
        now_us: Wall time in microseconds since the epoch.
        entropy: `ENTROPY_BITS` random bits.
    """
    return RunId(f"{now_us // 1000:012x}{entropy:020x}")


def child_run_id(parent: RunId, key: OperationKey, failures: int) -> RunId:
    """Name the child run that this operation of the parent stands for.

    Args:
        parent: The calling run.
        key: The operation's identity within the parent.
        failures: How many children of this operation ended without success before: a failed
            child is replaced by a new run, never asked to run again.
    """
    digest = blake2b(f"{parent}/{key}/{failures}".encode(), digest_size=10).hexdigest()
    return RunId(parent[:TIME_CHARS] + digest)


class OperationKeys:
    """Names operations by what they ask for, so that they are the same over crashes and retries.

    The run's own id is no part of a key: a fork or a retry of a run finds what its source recorded.

    Args:
        generation: The run's generation; a compensated attempt starts a new one.
        scope: The key of the step within which the operations are asked for, if any.
    """

    __slots__ = ("_counts", "_prefix")

    def __init__(self, generation: int, scope: str = "") -> None:
        self._prefix = f"{generation}\0{scope}\0"
        self._counts: dict[str, int] = {}

    def next(self, kind: str, target: str, args: bytes) -> OperationKey:
        """The key of the next operation of this kind, with this target and these arguments."""
        digest = blake2b(args, digest_size=KEY_BYTES)
        # The length keeps the end of the arguments from running into what follows.
        digest.update(f"\0{len(args)}\0{self._prefix}{kind}\0{target}".encode("utf-8", "surrogatepass"))
        name = digest.hexdigest()
        count = self._counts.get(name, 0)
        self._counts[name] = count + 1
        return OperationKey(f"{name}-{count}" if count else name)


def seed_of(run_id: str) -> int:
    """The number from which a run draws its chance and its hashes."""
    return int(run_id[-16:], 16)
