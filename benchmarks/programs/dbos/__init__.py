"""DBOS on its SQLite system database."""
