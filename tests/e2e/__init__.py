"""The whole exchange as its users start it."""
