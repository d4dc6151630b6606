"""Runs over days: how many blocks an answer takes, when they start, and carrying them out."""
