"""Names of runs and operations follow from what they stand for, never from when or where they are made."""

from hypothesis import given
from hypothesis import strategies as st

from agnt5.core.model.ids import (
    ENTROPY_BITS,
    RUN_ID_CHARS,
    OperationKey,
    OperationKeys,
    RunId,
    child_run_id,
    new_run_id,
    seed_of,
)

NOW = 1_700_000_000_000_000
KINDS = st.sampled_from(["step", "call", "event"])
ASKED = st.lists(st.tuples(KINDS, st.text(max_size=5), st.binary(max_size=5)), max_size=8)


@given(st.integers(0, 2**53), st.integers(0, 2**ENTROPY_BITS - 1))
def test_a_run_id_is_32_hexadecimal_digits(now_us: int, entropy: int):
    """Whatever the time and the chance."""
    run_id = new_run_id(now_us, entropy)

    assert len(run_id) == RUN_ID_CHARS
    assert int(run_id, 16) >= 0


@given(st.integers(0, 2**53), st.integers(1, 2**40))
def test_later_runs_sort_later(now_us: int, later: int):
    """Ids are in the order of their time, to the millisecond."""
    assert new_run_id(now_us, 2**80 - 1) < new_run_id(now_us + later * 1000, 0)


@given(ASKED)
def test_the_same_asking_gives_the_same_keys(asked: list[tuple[str, str, bytes]]):
    """Over crashes and retries: keys follow from what is asked, and how often it was asked before."""
    one, two = OperationKeys(1), OperationKeys(1)

    assert [one.next(*ask) for ask in asked] == [two.next(*ask) for ask in asked]


@given(ASKED)
def test_no_two_operations_share_a_key(asked: list[tuple[str, str, bytes]]):
    """The nth time of the same is another operation than the first."""
    keys = OperationKeys(1)

    made = [keys.next(*ask) for ask in asked]

    assert len(set(made)) == len(made)


@given(ASKED, st.randoms(use_true_random=False))
def test_keys_dont_depend_on_what_else_is_asked(asked: list[tuple[str, str, bytes]], random: object):
    """In another order the same operations have the same keys."""
    other = list(asked)
    random.shuffle(other)  # type: ignore[attr-defined]
    one, two = OperationKeys(1), OperationKeys(1)

    assert {one.next(*ask) for ask in asked} == {two.next(*ask) for ask in other}


def test_generation_scope_kind_target_and_arguments_tell_operations_apart():
    """Each of them is part of the identity, and their texts don't run together."""
    made = [
        OperationKeys(1).next("step", "a", b"1"),
        OperationKeys(2).next("step", "a", b"1"),
        OperationKeys(1, "scope").next("step", "a", b"1"),
        OperationKeys(1).next("call", "a", b"1"),
        OperationKeys(1).next("step", "b", b"1"),
        OperationKeys(1).next("step", "a", b"2"),
        OperationKeys(1).next("ste", "pa", b"1"),
        OperationKeys(1).next("step", "", b"a1"),
        OperationKeys(11).next("step", "a", b""),
        OperationKeys(1).next("step", "\ud800", b"1"),
    ]

    assert len(set(made)) == len(made)


def test_a_child_has_one_id_for_each_operation():
    """The same after a crash; another one after it failed, for another operation, or another parent."""
    parent, key = new_run_id(NOW, 1), OperationKey("k")

    child = child_run_id(parent, key, 0)

    assert child == child_run_id(parent, key, 0)
    assert len(child) == RUN_ID_CHARS
    assert child[:12] == parent[:12], "it stands beside its parent in the store"
    others = {
        child_run_id(parent, key, 1),
        child_run_id(parent, OperationKey("l"), 0),
        child_run_id(new_run_id(NOW, 2), key, 0),
    }
    assert len(others | {child}) == 4


def test_a_seed_follows_from_the_id():
    """Two runs draw different chance, one run always the same."""
    one, two = RunId(f"{1:032x}"), RunId(f"{2:032x}")

    assert (seed_of(one), seed_of(two)) == (1, 2)
