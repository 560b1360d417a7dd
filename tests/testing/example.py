"""The checkout that users are shown, loaded from its file: `examples` is no package."""

import importlib.util
import sys
from pathlib import Path

FILE = Path(__file__).parents[2] / "examples" / "checkout.py"
NAME = "example_of_a_checkout"

spec = importlib.util.spec_from_file_location(NAME, FILE)
assert spec is not None, "the example is there"
assert spec.loader is not None, "and is Python"
module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

checkout = module.checkout
