"""LangGraph with its SqliteSaver."""
