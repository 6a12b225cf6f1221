"""Statistics of experiments: pure functions over arrays, no file, no clock."""
