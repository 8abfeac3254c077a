"""Train a grid of runs, and rank what comes out in one table and one picture.

``ganzoo sweep`` is this from the command line; from Python it is
:func:`ganzoo_zoo.apps.sweep.sweep.sweep` over a :class:`ganzoo_zoo.apps.sweep.grid.Grid`.
"""
