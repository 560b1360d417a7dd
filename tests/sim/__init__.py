"""A simulated world for the real engine, runtime, worker and replay: one seed, one history."""
