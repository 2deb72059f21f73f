"""The judges: they read what the exchange wrote down, and the only thing they can do is halt it."""
