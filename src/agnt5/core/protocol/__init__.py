"""What runtime and worker say to each other."""
