"""Lists in pages, for every feature that has one: cursors, ranges of an index, the walk, its parameters."""
