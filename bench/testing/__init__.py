"""What a door must do, as data and checks that anybody can run on a door of their own.

    from bench.testing import conformance

    def test_my_door_does_what_a_door_does():
        report = conformance(MyDoor())
        assert report.passed, report

`python -m bench.testing` prints the matrix of every installed door.
"""

from bench.testing.conformance import CHECKS, Report, Result, conformance, installed

__all__ = ["CHECKS", "Report", "Result", "conformance", "installed"]
