"""Configuration and scenarios: strict YAML -> the rooms' own frozen settings. Unknown is an error, never a
default.
"""
