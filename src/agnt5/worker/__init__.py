"""Hosts user code: runs bodies and steps on an event loop, and speaks with the runtime."""
