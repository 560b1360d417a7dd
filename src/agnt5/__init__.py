"""Durable execution for Python: workflows and functions whose progress survives crashes and restarts."""

from agnt5.core.model.errors import (
    Agnt5Error,
    BusyWorkflowError,
    ConflictError,
    DeadlockError,
    EffectOutsideStep,
    EntityBusyError,
    EntityStateError,
    InternalError,
    InvalidInput,
    JournalLockedError,
    NoContextError,
    NonDeterminismError,
    NonRetryableError,
    OutcomeUnknown,
    PayloadTooLarge,
    ReadOnlyError,
    RemoteError,
    RetriableError,
    RetryAfter,
    RunBlockedError,
    RunCancelledError,
    StepTimeoutError,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreTooNew,
    Unavailable,
    UnknownComponent,
    UnknownRun,
    UnserializableValue,
)
from agnt5.core.model.retry import RetryPolicy
from agnt5.embedded import Runtime
from agnt5.runtime.retention import Retention
from agnt5.sdk import durable
from agnt5.sdk.backend import Explanation, RunEvent
from agnt5.sdk.context import DurableContext, FunctionContext, WorkflowContext
from agnt5.sdk.current import PROXY
from agnt5.sdk.entity import DurableObject, Entity
from agnt5.sdk.function import Function, Workflow, function, task, workflow
from agnt5.sdk.handle import Handle, get_run, send_event
from agnt5.worker.settings import WorkerSettings

ctx: DurableContext = PROXY

__version__ = "0.1.0"

__all__ = [
    "Agnt5Error",
    "BusyWorkflowError",
    "ConflictError",
    "DeadlockError",
    "DurableContext",
    "DurableObject",
    "EffectOutsideStep",
    "Entity",
    "EntityBusyError",
    "EntityStateError",
    "Explanation",
    "Function",
    "FunctionContext",
    "Handle",
    "InternalError",
    "InvalidInput",
    "JournalLockedError",
    "NoContextError",
    "NonDeterminismError",
    "NonRetryableError",
    "OutcomeUnknown",
    "PayloadTooLarge",
    "ReadOnlyError",
    "RemoteError",
    "Retention",
    "RetriableError",
    "RetryAfter",
    "RetryPolicy",
    "RunBlockedError",
    "RunCancelledError",
    "RunEvent",
    "Runtime",
    "StepTimeoutError",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreTooNew",
    "Unavailable",
    "UnknownComponent",
    "UnknownRun",
    "UnserializableValue",
    "WorkerSettings",
    "Workflow",
    "WorkflowContext",
    "ctx",
    "durable",
    "function",
    "get_run",
    "send_event",
    "task",
    "workflow",
]
