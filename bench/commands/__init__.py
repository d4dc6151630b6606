"""The verbs, one file each. They print; they decide nothing."""

invocation: list[str] = []
"""The arguments of the command that runs, for the record."""
