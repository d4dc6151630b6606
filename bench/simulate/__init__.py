"""Look-alike clouds on loopback, in a process of their own.

They speak the vendors' wires (requests checked, errors in the vendor's envelope, streams framed as theirs), with
timing, faults and answers that are planned by a seed, and write down when every token left: the truth that
measurements of `bench` itself are compared with. This room shares no code with `bench.dialects` or
`bench.providers`, so that one wrong belief about a wire cannot pass both sides.
"""

from bench.simulate.config import DOORS, default_credentials, default_profile, parse_config
from bench.simulate.launch import Running, describe, launch

__all__ = ["DOORS", "Running", "default_credentials", "default_profile", "describe", "launch", "parse_config"]
