"""What several rules share: each a derivation of its own, or a small habit."""
