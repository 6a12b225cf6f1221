"""Experiments: a candidate configuration against the baseline, planned before it starts."""
