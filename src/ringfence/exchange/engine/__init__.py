"""The exchange's rules: a pure function of an ordered input. `Engine.step` is the front door."""
