"""The functions that the box adds to ``import ganzoo``, as type checkers see them.

Python finds them by their entry points, and imports each when it is first used.
"""

from ganzoo_zoo.apps.bench import bench as bench
from ganzoo_zoo.apps.export import export as export
from ganzoo_zoo.apps.import_weights import import_weights as import_weights
from ganzoo_zoo.apps.project import project as project
from ganzoo_zoo.apps.report import report as report
from ganzoo_zoo.apps.sweep.function import sweep as sweep
