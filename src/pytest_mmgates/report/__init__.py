"""Verdicts and runs as text: JSON, Markdown, terminal lines. Pure functions of their input, without a date of
their own.
"""
