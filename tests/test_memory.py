"""Memory that is freed and used again."""

import os
import platform
import subprocess
import sys

import pytest

SIZE = 40 << 20
FREED = f"""
import os, sys
from pathlib import Path
import numpy as np
from ganzoo.compute.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

array = np.ones({SIZE}, dtype=np.uint8)
before = resident()
del array
print(before - resident())
"""


def given_back(word, **environment):
    """Return how many bytes a process is smaller once it has freed an array."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", FREED, word],
        env={**own, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the C library glibc")
def test_freed_memory_is_kept_and_used_again():
    assert given_back("usual") > SIZE / 2
    assert given_back("kept") < SIZE / 2
    # Whoever sets the library's own variables has chosen.
    assert given_back("kept", MALLOC_ARENA_MAX="2") > SIZE / 2
