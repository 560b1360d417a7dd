"""What users may rely on, seen from outside: the same tests over every embedded runtime."""
