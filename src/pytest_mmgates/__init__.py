"""Market-making release gates for pytest: thresholds in YAML, verdicts that can be believed.

The plugin knows no bot. It opens the system under test by an import string (`mmgates_sut`), drives it, and judges
only what the run wrote down. See `pytest_mmgates.sut` for the protocol.
"""
