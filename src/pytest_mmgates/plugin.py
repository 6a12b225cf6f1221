"""Hooks only."""
