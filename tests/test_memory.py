"""Memory that is freed and used again."""

import os
import platform
import subprocess
import sys

import pytest

PAGES = """
import resource, sys
import numpy as np
from ganzoo.memory import keep_freed

if sys.argv[1] == "kept":
    keep_freed()

def fetched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(40 << 20, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fetched()
print(fetched())
"""


def pages(word, **environment):
    """Count the pages that the system gives a process for arrays of a size it had before."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PAGES, word],
        env={**own, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the C library glibc")
def test_freed_memory_is_kept_and_used_again():
    fetched = pages("usual")
    assert pages("kept") < fetched / 50
    # Whoever sets the library's own variables has chosen.
    assert pages("kept", MALLOC_ARENA_MAX="2") > fetched / 2
