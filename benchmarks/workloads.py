"""What is measured: each workload with its sizes, its contenders, and the bounds that ours is held to."""

from dataclasses import dataclass, field
from typing import Any, Final

OURS: Final = "agnt5"
LIMIT: Final = "limit"
STORE: Final = "store"  # The limit through our own store.
DBOS: Final = "dbos"
LANGGRAPH: Final = "langgraph"
PEERS: Final = (DBOS, LANGGRAPH)


@dataclass(frozen=True)
class Bound:
    """What a figure of ours is held to.

    Attributes:
        at_least: The median is no less; or, with `of`, the median ratio to that contender's figure.
        at_most: Likewise.
        of: The contender that ours is compared with, within each round.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    of: str | None = None

    def __str__(self) -> str:
        sign, value = ("≥", self.at_least) if self.at_least is not None else ("≤", self.at_most)
        return f"{sign} {value:,}" + (f" of {self.of}" if self.of else "")

    def is_met(self, value: float) -> bool:
        """Whether a figure, or a ratio, is within the bound."""
        if self.at_least is not None:
            return value >= self.at_least
        assert self.at_most is not None, "a bound has a side"
        return value <= self.at_most


@dataclass(frozen=True)
class Workload:
    """One thing to do, done by several contenders.

    Attributes:
        programs: For each contender, the module under `benchmarks.programs` and its function.
        sizes: What the programs are called with.
        quick: Sizes that differ in a quick run.
        own_sizes: Sizes that differ for a contender: peers would take minutes otherwise.
        rounds: How often each contender does it, by turns.
    """

    name: str
    title: str
    programs: dict[str, str]
    sizes: dict[str, Any]
    quick: dict[str, Any]
    bounds: tuple[Bound, ...]
    own_sizes: dict[str, dict[str, Any]] = field(default_factory=dict)
    rounds: int = 5

    def sizes_for(self, contender: str, is_quick: bool) -> dict[str, Any]:
        """What the program of a contender is called with."""
        return self.sizes | (self.quick if is_quick else {}) | self.own_sizes.get(contender, {})


def _twins(program: str, *contenders: str) -> dict[str, str]:
    return {contender: f"{contender}.{program}" for contender in contenders}


_THREE_STEPS: Final = _twins("steps:three_steps", OURS, LIMIT, *PEERS) | {STORE: "limit.store:three_steps"}
_IMPORT: Final = "importing:importing"

WORKLOADS: Final = (
    Workload(
        "throughput",
        "3-step workflow, concurrency 100",
        _THREE_STEPS,
        {"runs": 20_000, "concurrency": 100},
        {"runs": 5_000},
        (Bound("runs/s", at_least=5_000), Bound("runs/s", at_least=0.35, of=LIMIT)),
        {peer: {"runs": 500} for peer in PEERS},
    ),
    Workload(
        "latency",
        "3-step workflow, one after the other",
        _THREE_STEPS,
        {"runs": 1_000, "concurrency": 1},
        {"runs": 300},
        (Bound("p50 ms", at_most=1.5),),
        {peer: {"runs": 200} for peer in PEERS},
    ),
    Workload(
        "long_run",
        "sequential steps in one run",
        _twins("steps:long_run", OURS, LIMIT, *PEERS),
        {"sizes": [1_000, 2_000, 4_000]},
        {},
        (Bound("4,000 steps s", at_most=2, of=LIMIT), Bound("growth", at_most=1.2)),
    ),
    Workload(
        "fan_out",
        "1,000 parallel steps in one run",
        _twins("steps:fan_out", OURS, LIMIT, *PEERS),
        {"steps": 1_000, "repeats": 5},
        {"repeats": 3},
        (Bound("s", at_most=0.15),),
        {peer: {"repeats": 1} for peer in PEERS},
    ),
    Workload(
        "restart",
        "restart with 10,000 unfinished runs",
        _twins("restart:measure", OURS),
        {"runs": 10_000},
        {"runs": 2_000},
        (Bound("first progress s", at_most=1), Bound("all resumed s", at_most=10)),
        rounds=3,
    ),
    Workload(
        "killed",
        "worker killed in 200 runs of 10 steps",
        _twins("killed:measure", OURS, DBOS),
        {"runs": 200},
        {},
        (Bound("all done s", at_most=0.85),),
    ),
    Workload(
        "sleeping",
        "100,000 sleeping runs",
        _twins("sleeping:measure", OURS, DBOS),
        {"runs": 100_000, "before": 20_000},
        {"runs": 20_000},
        (Bound("starts/s", at_least=9_000), Bound("KiB each", at_most=0.1)),
        {DBOS: {"runs": 1_000, "before": 200}},
        rounds=3,
    ),
    Workload(
        "importing",
        "import in a fresh process",
        {OURS: _IMPORT, LIMIT: "importing:nothing", DBOS: _IMPORT, LANGGRAPH: _IMPORT},
        {"repeats": 7},
        {"repeats": 3},
        (Bound("import s", at_most=0.15),),
        {
            # No server, and nothing of the command line; msgspec takes `typing_extensions` where it is there.
            OURS: {"modules": "agnt5", "allowed": ["agnt5", "msgspec", "typing_extensions.py"]},
            DBOS: {"modules": "dbos"},
            LANGGRAPH: {"modules": "langgraph.graph, langgraph.checkpoint.sqlite"},
        },
    ),
)
