"""ganzoo's conformance checks over everything that the package announces."""

from ganzoo.testing import conformance_tests

test_conformance = conformance_tests("ganzoo-families")
