"""Drives the engine over a store."""
