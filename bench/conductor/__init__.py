"""The conductor and its hands: from a checked workload to rows on disk."""
