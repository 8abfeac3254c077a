"""Memory and processors in a container or a scheduler's job, of fake files and a real group."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from ganzoo.compute import cgroups, memory
from ganzoo.compute.cgroups import count_cpus, read_memory_limit
from ganzoo.errors import InputError
from ganzoo_zoo.data import parallel

UNLIMITED = 9223372036854771712
"""What version 1 says where there is no limit."""
LIMIT_FILES = ("memory.max", "memory.limit_in_bytes")
V1 = {"memory": "4:memory:{}\n0::/\n", "cpu": "2:cpu,cpuacct:{}\n0::/\n"}


@pytest.fixture
def machine(tmp_path):
    """Return a function that writes what Linux would show to a process."""

    def write(groups, mounts, files):
        top, process = tmp_path / "sys fs", tmp_path / "self"
        process.mkdir()
        (process / "cgroup").write_text(groups)
        lines = ["22 27 0:21 / /proc rw,relatime - proc proc rw"]
        for root, point, system in mounts:
            where = f"{top}/{point}".replace(" ", "\\040")
            lines.append(f"35 31 0:32 {root} {where} rw,relatime shared:9 - {system}")
        (process / "mountinfo").write_text("\n".join(lines) + "\n")
        for name, text in files.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(f"{text}\n")
        return process

    return write


def v2(machine, group, files, root="/"):
    return machine(f"0::{group}\n", [(root, "", "cgroup2 cgroup2 rw,nsdelegate")], files)


def v1(machine, controller, group, files, root="/"):
    mounts = [
        ("/", "unified", "cgroup2 cgroup2 rw"),
        ("/", "cpuset", "cgroup cgroup rw,cpuset"),
        (root, controller, f"cgroup cgroup rw,{controller},cpuacct"),
    ]
    return machine(V1[controller].format(group), mounts, files)


# Memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"a/b/memory.max": 300}, 300),
        ({"a/b/memory.max": "max"}, None),
        ({"a/b/memory.max": 300, "a/b/memory.high": 200}, 200),
        ({"a/b/memory.max": "max", "a/memory.max": 100}, 100),
        ({"a/b/memory.max": 300, "memory.max": 100, "a/c/memory.max": 1}, 100),
        ({"a/b/memory.max": "nonsense", "a/b/memory.high": ""}, None),
        ({}, None),
    ],
)
def test_the_smallest_limit_of_all_groups_around_counts(machine, files, limit):
    assert read_memory_limit(v2(machine, "/a/b", files)) == limit


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory/slurm/uid_1/job_2/memory.limit_in_bytes": 300}, 300),
        (
            {
                "memory/slurm/uid_1/job_2/memory.limit_in_bytes": UNLIMITED,
                "memory/slurm/uid_1/memory.limit_in_bytes": 200,
            },
            200,
        ),
        (
            {
                "memory/slurm/uid_1/job_2/memory.limit_in_bytes": UNLIMITED,
                "memory/slurm/uid_1/job_2/memory.stat": "cache 5\nhierarchical_memory_limit 100",
            },
            100,
        ),
        ({"memory/memory.limit_in_bytes": UNLIMITED}, UNLIMITED),
    ],
)
def test_version_1_has_a_tree_for_memory_alone(machine, files, limit):
    assert read_memory_limit(v1(machine, "memory", "/slurm/uid_1/job_2", files)) == limit


def test_a_container_shows_its_group_at_the_top(machine):
    files = {"memory/memory.limit_in_bytes": 300}
    assert read_memory_limit(v1(machine, "memory", "/docker/ab", files, root="/docker/ab")) == 300


@pytest.mark.parametrize("group", ["/", "/elsewhere", "/../other"])
def test_a_group_that_is_out_of_sight_leaves_the_one_at_the_top(machine, group):
    assert read_memory_limit(v2(machine, group, {"memory.max": 300}, "/docker/ab")) == 300


def test_no_groups_are_no_limit(tmp_path):
    assert read_memory_limit(tmp_path / "nothing") is None


def test_the_limit_is_that_of_the_group_or_the_machine(monkeypatch):
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    monkeypatch.setattr(memory, "read_memory_limit", lambda: None)
    whole = memory.limit()
    monkeypatch.setattr(memory, "read_memory_limit", lambda: UNLIMITED)
    assert memory.limit() == whole
    monkeypatch.setattr(memory, "read_memory_limit", lambda: 900 << 20)
    assert memory.limit() == 900 << 20
    with pytest.raises(InputError, match=r"would take 1.0 GiB .* limit is 0.9 GiB"):
        memory.require(1 << 30, "a batch")
    monkeypatch.setenv(memory.VARIABLE, "2")
    memory.require(1 << 30, "a batch")  # you know better


@pytest.fixture
def group():
    """Make a group of 700 MiB within that of this process, if it may."""
    around = next(cgroups._find_groups(cgroups.PROCESS, "memory"), Path("nowhere"))
    made = around / f"ganzoo-test-{os.getpid()}"
    try:
        made.mkdir()
        (file,) = [made / name for name in LIMIT_FILES if (made / name).exists()]
        file.write_text(str(700 << 20))
        yield made
    except (OSError, ValueError):
        pytest.skip("control groups cannot be made here")
    finally:
        with suppress(OSError):
            made.rmdir()


def test_a_real_group_is_read(group):
    program = "from ganzoo.compute.memory import limit; print(limit())"
    enter = 'echo $$ > "$0/cgroup.procs" || exit 77; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", enter, group, sys.executable, "-c", program], capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip("a process cannot be moved here")
    assert (done.stdout, done.stderr) == (f"{700 << 20}\n", "")


# Processors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"a/b/cpu.max": "200000 100000"}, 2),
        ({"a/b/cpu.max": "250000 100000"}, 3),
        ({"a/b/cpu.max": "1000 100000"}, 1),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "400000 100000"}, 4),
        ({"a/b/cpu.max": "max 100000"}, 8),
        ({"a/b/cpu.max": "0 0"}, 8),
        ({}, 8),
    ],
)
def test_processors_are_those_that_all_groups_allow(machine, monkeypatch, files, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert count_cpus(v2(machine, "/a/b", files)) == count


@pytest.mark.parametrize(("quota", "count"), [(-1, 8), (150000, 2)])
def test_version_1_has_processors_in_two_files(machine, monkeypatch, quota, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    files = {"cpu/a/cpu.cfs_quota_us": quota, "cpu/a/cpu.cfs_period_us": 100000}
    assert count_cpus(v1(machine, "cpu", "/a", files)) == count


def test_where_processors_cannot_be_chosen_all_of_them_count(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert count_cpus(tmp_path) == os.cpu_count()


def test_files_are_read_by_as_many_threads_as_there_are_processors(monkeypatch):
    monkeypatch.setattr(parallel, "count_cpus", lambda: 1)
    pulled = []

    def pull():
        for item in range(40):
            pulled.append(item)
            yield item

    results = parallel.map_in_order(str, pull())
    assert next(results) == "0"
    assert len(pulled) <= parallel.AHEAD + 1
    results.close()
