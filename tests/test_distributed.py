"""Several processes train as one does; one that dies does not leave the others waiting."""

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import small_training
import torch
from torch import nn

from cnn_course.errors import DistributedError
from cnn_course.training import distributed
from cnn_course.training.distributed import Group

PROGRAM = Path(small_training.__file__)
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
# A process that has imported everything (optimizers import torch._dynamo) forks the others: they start in milliseconds.
STARTER = multiprocessing.get_context("forkserver")
STARTER.set_forkserver_preload(["torch._dynamo", "cnn_course.train"])


def test_one_process_gets_back_what_it_gave():
    group = distributed.setup("cpu")
    model, x = nn.Linear(2, 2), torch.arange(3)
    assert group == Group(rank=0, world_size=1, device="cpu")
    assert distributed.wrap(model, group) is model and distributed.total(x, group) is x
    assert distributed.from_first(model, group) is model and distributed.share(x, group).tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError, match="of the model itself"), distributed.together(group):
        raise RuntimeError("of the model itself")


@pytest.mark.parametrize(
    ("rank", "size", "says"), [("no", "2", "RANK must be a whole number"), ("2", "2", "there is no process 2 of 2")]
)
def test_an_environment_that_torchrun_does_not_make(monkeypatch, rank, size, says):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(DistributedError, match=says):
        distributed.setup("cpu")


def test_one_process_needs_no_address_and_two_do(monkeypatch):
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1")):
        monkeypatch.setenv(name, value)
    assert distributed.setup("cpu") == Group(device="cpu")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(DistributedError, match="process 0 of 2, and MASTER_PORT do not say .* or unset RANK"):
        distributed.setup("cpu")


@pytest.mark.parametrize("images", [0, 1, 2, 7, 12])
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_shares_cover_the_batch_once(images, processes):
    batch = torch.randperm(images)
    shares = [distributed.share(batch, Group(rank, processes)) for rank in range(processes)]
    assert torch.equal(torch.cat(shares), batch)
    lengths = [len(part) for part in shares]
    assert lengths == sorted(lengths, reverse=True) and max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("device", "message"), [("mps", 'use "auto", "cpu" or "cuda"'), ("cuda", "has no GPU: there are")]
)
def test_a_device_that_cannot_be_shared(monkeypatch, device, message):
    for name, value in (("RANK", 99), ("WORLD_SIZE", 100), ("LOCAL_RANK", 99)):
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ValueError, match=message):
        distributed.setup(device)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict:
    file = tmp_path_factory.mktemp("alone") / "result"
    small_training.without_a_break(file)
    return torch.load(file)


def assert_as_one_process(alone: dict, file: Path) -> None:
    first, second = (torch.load(file.with_name(file.name + rank)) for rank in "01")
    assert small_training.same(first, second)
    for name, values in alone["columns"].items():
        np.testing.assert_allclose(first["columns"][name], values, rtol=0, atol=1e-5, err_msg=name)
    for name, weight in alone["weights"].items():
        # Sums are taken in another order, and Adam divides by small second moments.
        torch.testing.assert_close(first["weights"][name], weight, rtol=0, atol=1e-4, msg=name)


@pytest.mark.slow
def test_two_processes_train_as_one_does(alone, tmp_path):
    options = ["--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    command = [*TORCHRUN, *options, PROGRAM, tmp_path / "result"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert_as_one_process(alone, tmp_path / "result")


# Two hosts: network namespaces, one made in the other, joined by a cable (veth). They are gone when their last process
# is, and all processes are when the first of their PID namespace is: nothing stays behind, however this ends.
# The arguments start torchrun; is_host tells it where the meeting point is, which it cannot know from the host's name.
TWO_HOSTS = """
export GLOO_SOCKET_IFNAME=cable
ip link set lo up
unshare --net sh -c '
    ip link set lo up
    until ip link set cable up 2>/dev/null; do sleep 0.1; done
    ip addr add 10.97.0.2/24 dev cable
    exec "$@" --local-addr 10.97.0.2 --rdzv-conf is_host=0 PROGRAM' second "$@" &
until ip link add cable type veth peer name cable netns $! 2>/dev/null; do sleep 0.1; done
ip addr add 10.97.0.1/24 dev cable
ip link set cable up
"$@" --local-addr 10.97.0.1 --rdzv-conf is_host=1 PROGRAM
wait $!
"""
NAMESPACE = ["unshare", "--map-root-user", "--net", "--pid", "--kill-child"]


def why_no_namespaces() -> str | None:
    if not (shutil.which("unshare") and shutil.which("ip")):
        return "needs Linux with unshare and ip (apt install iproute2)"
    tried = subprocess.run(
        [*NAMESPACE, "ip", "link", "add", "one", "type", "veth", "peer", "name", "other"],
        capture_output=True,
        text=True,
    )
    return f"cannot make network namespaces: {tried.stderr.strip()}" if tried.returncode else None


@pytest.mark.slow
def test_two_hosts_train_as_one_process_does(alone, tmp_path):
    reason = why_no_namespaces()
    if reason:
        pytest.skip(reason)
    script = TWO_HOSTS.replace("PROGRAM", f"{PROGRAM} {tmp_path / 'result'}")
    start = [*TORCHRUN, "--nnodes", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "10.97.0.1:29400"]
    command = [*NAMESPACE, "sh", "-ec", script, "first", *start]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert_as_one_process(alone, tmp_path / "result")


def member(rank: int, port: int, patience: float, fate: str, pipe) -> None:
    """One of two processes that train; rank 1 meets its fate, rank 0 says what came of it."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    try:
        group = distributed.setup("cpu", timedelta(seconds=patience))
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        network = distributed.wrap(model, group)
        network(torch.randn(5 + rank, 3))
        assert distributed.from_first(f"of {rank}", group) == "of 0"
        assert distributed.total(torch.tensor([1, rank]), group).tolist() == [2, 1]
        means = model[1].running_mean.clone()
        distributed.same_buffers(model, group)
        assert torch.equal(means, model[1].running_mean) == (rank == 0)
        if fate != "stays" and rank == 1:
            os.kill(os.getpid(), {"dies": signal.SIGKILL, "hangs": signal.SIGSTOP}[fate])
        with distributed.together(group):
            network(torch.randn(5, 3)).sum().backward()
        said = group
    except Exception as error:
        said = error
    if rank == 0:
        pipe.send(said)


def two_members(fate: str, patience: float, ranks: tuple[int, ...] = (0, 1)) -> Group | Exception:
    """What rank 0 says in the end."""
    port, (listen, pipe) = free_port(), STARTER.Pipe(duplex=False)
    processes = [STARTER.Process(target=member, args=(rank, port, patience, fate, pipe)) for rank in ranks]
    try:
        for process in processes:
            process.start()
        return listen.recv() if listen.poll(240) else TimeoutError("no word from rank 0")
    finally:
        for process in processes:
            process.kill()
            process.join()


@pytest.mark.slow
def test_sums_and_what_the_first_has():
    assert two_members("stays", 200) == Group(0, 2, "cpu")


@pytest.mark.slow
@pytest.mark.parametrize(("fate", "patience"), [("dies", 200), ("hangs", 3)])
def test_a_lost_process_is_noticed(fate, patience):
    error = two_members(fate, patience)
    assert isinstance(error, DistributedError), error
    assert "rank 0 of 2 waited for the others in vain" in str(error) and "Start all of them again" in str(error)


@pytest.mark.slow
def test_a_process_that_never_comes_is_noticed():
    error = two_members("stays", 1, ranks=(0,))
    assert isinstance(error, DistributedError), error
