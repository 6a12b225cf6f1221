"""Shells: the only rooms that know what mode a run is in. `assemble` is the only place where rooms are wired."""
