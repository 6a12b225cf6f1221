"""What a run writes down. Gates see only this."""
