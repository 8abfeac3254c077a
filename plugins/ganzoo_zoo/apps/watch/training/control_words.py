"""The words that the page's server and its training processes exchange.

Both send lines of JSON: the server orders, and a process news. Each has the ``name`` of a run.

Orders:

- a run to train: ``config``, or in ``resume`` the folder of a run to train on; ``paused``, whether
  it pauses before its first step; and, if any, the folder ``out`` that it makes, the name of the
  model ``init`` that it starts from, its ``bounds``, and ``share``, how many processes share the
  threads;
- ``word``: a command or a question below;
- ``change``: new values of options, by full names.

News, of which each message has one:

- ``run``: the folder, once it exists;
- ``doing`` with ``done`` and ``total``: long work before the first step;
- ``paused``: the run pauses after this step, or in a ``phase`` of the next one; ``going``: it goes
  on;
- ``frame``: see :mod:`ganzoo_zoo.apps.watch.points.plane`;
- ``stage`` of a ``network`` in a ``step``, numbered from 1: see
  :mod:`ganzoo_zoo.apps.watch.points.stage`. It comes with each update while the run goes step by
  step;
- ``changed``: the ``options`` that are other ones after a ``step``; ``refused``: why a change is
  not made;
- ``walk``: a PNG in base64, or null; ``nearest``: see
  :mod:`ganzoo_zoo.apps.watch.training.looks`; each with its ``step``;
- ``warning``, and ``ended_warning`` when it is over;
- ``ended``: how the run ended, with a ``message`` if there is one.
"""

PAUSE, STEP, CONTINUE, STOP = "pause", "step", "continue", "stop"
"""Commands to a run."""
STEP_DISCRIMINATOR, STEP_GENERATOR = "step-discriminator", "step-generator"
"""Commands to a run that pauses: the discriminator's updates of a step, or all up to its end."""
WALK, NEAREST = "walk", "nearest"
"""Questions to a run on images, which its process answers with pictures."""
BETWEEN = "between"
"""The phase of a step in which the discriminator is done and the generator is not."""
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
"""How a run ended."""
MAX_TRAINING = 2
"""The most runs that train at once, each in a process with its share of the threads."""
