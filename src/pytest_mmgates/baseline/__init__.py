"""The locked baseline: what it holds, how it is made, and how a change is held against it.

What is locked is code, a market and rules, not a latency: every comparison plays both sides here.
"""
