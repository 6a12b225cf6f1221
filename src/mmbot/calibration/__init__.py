"""Numbers of models, measured from market events. No wiring, no files."""
