"""Shells: the only rooms that know a run's mode. `assemble` is the only place where rooms are wired."""
