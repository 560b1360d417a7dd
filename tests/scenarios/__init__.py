"""What others have learned to test, on a runtime of ours; `docs/scenarios.md` says where each scenario is shown."""
