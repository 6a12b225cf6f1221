"""The local book: what the venue shows, whether it may be believed, and how old it is."""
