"""Experiments as the gates see them: what was planned, what was recorded, and what it decides."""
