"""The environments that peers run in: made on first use, and kept."""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).parent


def cache_folder() -> Path:
    """Where environments are kept when nothing else is said."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agnt5-benchmarks"


def python_of(peer: str, folder: Path) -> str:
    """The Python of a peer's environment, which is made where it isn't there.

    Raises:
        OSError: It can't be made.
        subprocess.CalledProcessError: The peer can't be installed.
    """
    wanted = REQUIREMENTS / f"requirements-{peer}.txt"
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = folder / f"{peer}-{digest}"
    python = place / "bin" / "python"
    if (place / "complete").exists():
        return str(python)
    print(f"installing {peer} into {place}", file=sys.stderr)
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(wanted)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    (place / "complete").touch()
    return str(python)
