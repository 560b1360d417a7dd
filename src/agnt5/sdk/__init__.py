"""What a user writes against."""
