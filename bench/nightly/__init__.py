"""Tonight's run against the nights before it: baselines, the gate, and what changed when."""
