"""One suite of promises for every store, and one for every runtime."""
