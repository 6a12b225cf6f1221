"""The six stages, one module each. They take plain values and return plain values; none knows the engine."""
