"""Which process has a journal, asked without disturbing it."""

import fcntl
import json
import os
from pathlib import Path

from agnt5.core.model.errors import StoreError


def holder_of(journal: Path) -> int | None:
    """The process that writes this journal.

    Returns:
        Its pid; 0 where none has the journal, None where that can't be seen.
    """
    # The lock belongs to the file, by whichever link it is reached.
    path = journal.expanduser().resolve()
    try:
        file = os.open(path.with_name(f"{path.name}.lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    except OSError:
        return None
    try:
        # A pid alone tells nothing: it may be another process's by now, or of another container. Where
        # nobody has the lock it is shared for some microseconds; a process that starts in these
        # finds it taken, and says so.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return 0
    except BlockingIOError:
        return _pid_in(file)
    except OSError:
        return None
    finally:
        os.close(file)


def _pid_in(file: int) -> int | None:
    try:
        said = json.loads(os.pread(file, 4096, 0))
    except (ValueError, OSError):
        return None
    pid = said.get("pid") if isinstance(said, dict) else None
    return pid if isinstance(pid, int) else None


def check_exists(journal: Path) -> None:
    """See that there is a journal: a command about what is in it must not make one.

    Raises:
        StoreError: There is none.
    """
    if not journal.exists():
        raise StoreError(
            f"there is no journal at {journal.absolute()}",
            why="no run was made with this journal, or it is kept elsewhere",
            fix="say where it is: --store sqlite:///FILE, or AGNT5_HOME=DIRECTORY",
            journal=str(journal),
        )
