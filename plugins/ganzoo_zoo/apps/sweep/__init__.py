"""Training a grid of runs, and ranking them in one table and one picture.

``ganzoo sweep`` is the command for it. From Python, call
:func:`ganzoo_zoo.apps.sweep.sweep.sweep` with a :class:`ganzoo_zoo.apps.sweep.grid.Grid`.
"""
