"""A venue without I/O: matching by queue position, latency, fees, and a synthetic market."""
