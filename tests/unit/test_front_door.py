"""What `import agnt5` gives: exactly what is promised, and without loading what nobody asked for."""

import subprocess
import sys

import agnt5

PUBLIC = """
Agnt5Error BusyWorkflowError ConflictError DeadlockError DurableContext DurableObject EffectOutsideStep Entity
EntityBusyError EntityStateError Explanation Function FunctionContext Handle InternalError InvalidInput
JournalLockedError NoContextError NonDeterminismError NonRetryableError OutcomeUnknown PayloadTooLarge ReadOnlyError
RemoteError Retention RetriableError RetryAfter RetryPolicy RunBlockedError RunCancelledError RunEvent Runtime
StepTimeoutError StoreCorrupt StoreError StoreFull StoreTooNew Unavailable UnknownComponent UnknownRun
UnserializableValue
WorkerSettings Workflow WorkflowContext ctx durable function get_run send_event task workflow
""".split()  # noqa: SIM905  A list of fifty lines reads worse.


def test_the_public_names_are_pinned():
    """A name that is added or taken away is a decision, made here."""
    assert agnt5.__all__ == PUBLIC
    assert all(getattr(agnt5, name) is not None for name in PUBLIC)


def test_task_is_function():
    """One thing under two names."""
    assert agnt5.task is agnt5.function


def test_importing_loads_no_optional_part():
    """Neither pydantic nor the command line's libraries are paid for by those who don't use them."""
    code = "import agnt5, sys; print(*{'pydantic', 'click', 'rich', 'uvloop', 'agnt5.cli'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == []
