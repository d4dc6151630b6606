from acme_bench.door import Acme

from bench.testing import conformance


def test_the_door_does_what_a_door_does() -> None:
    report = conformance(Acme())
    assert report.passed, report
