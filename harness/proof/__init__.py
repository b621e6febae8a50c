"""Proof of a plan: what it catches and misses, how often it accuses a sound rack, and what that holds for."""
