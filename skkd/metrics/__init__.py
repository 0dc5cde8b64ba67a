"""How faithful an explanation is, what it costs, and whether a classifier is useful."""
