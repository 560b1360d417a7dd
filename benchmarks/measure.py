"""One measurement, in the process that is made for it: `python -m benchmarks.measure PROGRAM SIZES`."""

import asyncio
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path


def main(program: str, sizes: str) -> None:
    """Run a program, named `module:function`, in a folder of its own, and print its figures as the last line."""
    module, _, function = program.partition(":")
    measure = getattr(importlib.import_module(f"benchmarks.programs.{module}"), function)
    with tempfile.TemporaryDirectory(prefix="agnt5-benchmark-") as folder:
        figures = asyncio.run(measure(Path(folder), **json.loads(sizes)))
        print(json.dumps(figures), flush=True)
    # Threads that a peer leaves behind don't hold up the next measurement.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
