"""Nouns: instruments, events, commands, records. Frozen, without behaviour that needs anything else."""
