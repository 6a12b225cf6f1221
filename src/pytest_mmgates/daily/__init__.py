"""A day of operations: its facts as gates see them, beside the days before, and what to do about them."""
