"""The machines under `core/replay`, driven by hand."""
