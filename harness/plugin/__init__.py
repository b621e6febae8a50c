"""The plan under pytest, one concern a module: collection, what arguments are, execution. Inert until registered."""
