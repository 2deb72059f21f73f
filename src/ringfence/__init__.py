"""Ringfence: a derivatives exchange whose every satoshi can be checked."""
