"""Simulation of live trading: the real bot, and a venue where everything goes wrong by a seed."""
