"""What is let go is used again inside, and given back at the end."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from bench import heap

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def fill():
    before = faults()
    np.full(8_000_000, 1.0)
    return faults() - before

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6

with heap.kept():
    first, again = fill(), fill()
    inside = resident_mb()
print(first, again, inside, resident_mb())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is of the GNU C library")
def test_what_is_let_go_is_used_again_and_given_back_at_the_end():
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.split()
    first, again, inside_mb, outside_mb = map(float, told)
    assert first > 0
    assert again <= first / 4  # the same 64 MB
    assert outside_mb < inside_mb - 50
