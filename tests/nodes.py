"""Two machines on one: ``python tests/nodes.py`` trains on two nodes and on one, and compares.

Each node is an agent of torchrun with two processes. Where the system lets it, as root with
``ip netns``, each lives in a network namespace of its own and they see each other over a virtual
cable alone; else they meet by two addresses of this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from safetensors.torch import load_file

NODES = (1, 2)
PORT = "29571"
STEPS = 20
TRAIN = ["-m", "ganzoo", "train", "mlp", "--loss", "wgan-gp", "--batch-size", "16"]
TRAIN += ["--steps", str(STEPS), "--device", "cpu", "--set", "loss.gp_weight=0"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def cable(stack: ExitStack) -> bool:
    """Lay a cable between two network namespaces, if that is allowed."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    try:
        for node in NODES:
            ip("netns", "add", f"ganzoo{node}")
            stack.callback(ip, "netns", "del", f"ganzoo{node}")
        ip("link", "add", "ganzoo-1", "type", "veth", "peer", "name", "ganzoo-2")
        for node in NODES:
            space, link = f"ganzoo{node}", f"ganzoo-{node}"
            ip("link", "set", link, "netns", space)
            ip("-n", space, "address", "add", f"10.99.0.{node}/24", "dev", link)
            ip("-n", space, "link", "set", link, "up")
            ip("-n", space, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        print(f"no network namespaces here: {error.stderr.decode().strip()}")
        return False
    return True


def train(folder: Path, *, spaces: bool) -> float:
    """Train on two nodes, each with a folder of its own, and on one; return what differs most."""
    nodes = []
    address = "10.99.0.{}" if spaces else "127.0.0.{}"
    for node in NODES:
        inside = ["ip", "netns", "exec", f"ganzoo{node}"] if spaces else []
        meet = ["--nnodes", "2", "--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-id"]
        meet += ["ganzoo", "--rdzv-endpoint", f"{address.format(1)}:{PORT}"]
        meet += ["--local-addr", address.format(node)]
        # A namespace cannot tell by its name that the endpoint is here.
        meet += ["--rdzv-conf", f"is_host={int(node == 1)}"]
        place = folder / f"node{node}"
        place.mkdir()
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        if spaces:
            env["GLOO_SOCKET_IFNAME"] = f"ganzoo-{node}"
        command = [*inside, *TORCHRUN, *meet, *TRAIN, "--out", "run"]
        nodes.append(subprocess.Popen(command, cwd=place, env=env))
    codes = [node.wait() for node in nodes]
    assert codes == [0, 0], codes
    written = [node for node in NODES if (folder / f"node{node}" / "run").exists()]
    assert len(written) == 1, "the first process of all writes, and no other"
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *TRAIN, "--out", "one"], cwd=folder, env=env, check=True)
    name = f"checkpoints/{STEPS:08d}/generator.safetensors"
    two = load_file(folder / f"node{written[0]}" / "run" / name)
    one = load_file(folder / "one" / name)
    return max(float((one[key] - two[key]).abs().max()) for key in one)


def main() -> None:
    """Train, and say what was seen."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with ExitStack() as torn:
            spaces = cable(torn)
            if spaces:
                stack.push(torn.pop_all())
        far = train(folder, spaces=spaces)
    where = "two network namespaces" if spaces else "two addresses of this machine"
    print(f"4 processes in {where}, {STEPS} steps: parameters differ by at most {far:.1e} from one")
    assert far < 1e-5


if __name__ == "__main__":
    main()
