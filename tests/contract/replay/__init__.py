"""What a workflow body may rely on when it is replayed."""
