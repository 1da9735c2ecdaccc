"""How many times slower than PyTorch is the NumPy convolution? Prints ratios, measured in one run.

    python benchmarks/convolution.py [--repeat 15] [--threads N] [--json FILE]

Every version gets the same float32 input and the same number of threads. They take turns: one round times each of
them once, after a pause and a call that is not timed (the threads of the one before have then gone to sleep, and the
caches are warm), and there are `--repeat` rounds. A slow moment of the machine thus meets all of them. A ratio is the
median time of a version divided by the median time of `torch.nn.functional.conv2d`; the range beside it holds the
middle half of the rounds. The file also has the ratio of the fastest rounds, which a busy machine disturbs least.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import threadpoolctl
import torch

from cnn_course.convolution import conv2d, conv2d_loops, conv2d_windows


class Case(NamedTuple):
    """A layer: images, channels, height, width -> filters, kernel size, padding."""

    n: int
    c: int
    h: int
    w: int
    o: int
    k: int
    padding: int

    def __str__(self) -> str:
        padding = f", padding {self.padding}" if self.padding else ""
        return f"({self.n}, {self.c}, {self.h}, {self.w}) -> {self.o}, {self.k} x {self.k}{padding}"


LAYERS = (
    Case(64, 1, 28, 28, 6, 5, 0),
    Case(64, 64, 32, 32, 64, 3, 0),
    Case(64, 64, 32, 32, 64, 3, 1),
    Case(16, 256, 14, 14, 256, 3, 0),
    Case(16, 256, 14, 14, 256, 3, 1),
)
# The loops are too slow for whole layers: all versions, PyTorch too, get these small ones.
SMALL_LAYERS = (Case(1, 1, 28, 28, 6, 5, 0), Case(1, 8, 14, 14, 8, 3, 0))
TINY_LAYERS = (Case(2, 1, 8, 8, 2, 3, 0), Case(2, 3, 6, 5, 4, 3, 1))

FAST = {"conv2d": conv2d, "conv2d_windows": conv2d_windows}
ALL = {**FAST, "conv2d_loops": conv2d_loops}


def set_threads(threads: int) -> dict[str, int]:
    """Give NumPy's BLAS and PyTorch the same number of threads; returns what they then report."""
    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)
    blas = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if "numpy" in pool["filepath"]]
    return {"numpy": max(blas, default=1), "torch": torch.get_num_threads()}


def seconds_per_call(call: Callable[[], object], calls: int, pause: float) -> float:
    time.sleep(pause)
    call()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def measure(case: Case, versions: dict[str, Callable], repeat: int, pause: float) -> dict:
    """Time torch and the versions in turns; check first that they agree."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((case.n, case.c, case.h, case.w), dtype=np.float32)
    w = rng.standard_normal((case.o, case.c, case.k, case.k), dtype=np.float32)
    x_torch, w_torch = torch.from_numpy(x), torch.from_numpy(w)
    calls = {"torch": lambda: torch.nn.functional.conv2d(x_torch, w_torch, padding=case.padding)}
    calls |= {name: lambda f=f: f(x, w, padding=case.padding) for name, f in versions.items()}
    reference = calls["torch"]().numpy()
    for name in versions:
        np.testing.assert_allclose(calls[name](), reference, atol=1e-3 * np.abs(reference).max(), err_msg=name)

    # Short calls are timed several at once, so that the clock is fine enough.
    several = {name: max(1, int(0.01 / seconds_per_call(call, 1, 0))) for name, call in calls.items()}
    rounds = [
        {name: seconds_per_call(call, several[name], pause) for name, call in calls.items()} for _ in range(repeat)
    ]
    medians = {name: statistics.median(r[name] for r in rounds) for name in calls}
    result = {"case": str(case), "layer": case._asdict(), "torch_ms": 1000 * medians["torch"], "ratios": {}}
    for name in versions:
        ratios = [r[name] / r["torch"] for r in rounds]
        low, _, high = statistics.quantiles(ratios, n=4) if repeat > 1 else (ratios * 3)
        fastest = min(r[name] for r in rounds) / min(r["torch"] for r in rounds)
        result["ratios"][name] = {
            "median": medians[name] / medians["torch"],
            "middle_half": [low, high],
            "fastest": fastest,
        }
    return result


def cpu_model() -> str:
    """The processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def table(results: list[dict]) -> str:
    names = list(results[0]["ratios"])
    lines = [f"{'(N, C, H, W) -> O, k':44}{'torch':>11}" + "".join(f"{name:>26}" for name in names)]
    for result in results:
        line = f"{result['case']:44}{result['torch_ms']:8.2f} ms"
        for ratio in result["ratios"].values():
            low, high = ratio["middle_half"]
            digits = 2 if high < 100 else 0
            line += f"{ratio['median']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})".rjust(26)
        lines.append(line)
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=15, help="rounds; a ratio comes from medians over them")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="for NumPy and PyTorch alike")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--tiny", action="store_true", help="tiny layers: shows that it runs, measures nothing")
    options = parser.parse_args(arguments)
    if options.repeat < 1 or options.threads < 1:
        parser.error("--repeat and --threads must be at least 1")

    threads = set_threads(options.threads)
    pause = 0.0 if options.tiny else 0.05
    results = {
        "numpy": np.__version__,
        "torch": torch.__version__,
        "cpu": cpu_model(),
        "threads": threads,
        "repeat": options.repeat,
    }
    print(f"NumPy {np.__version__}, PyTorch {torch.__version__}, {results['cpu']}")
    print(f"threads: NumPy {threads['numpy']}, PyTorch {threads['torch']}; {options.repeat} rounds, float32")
    with torch.inference_mode():
        for key, title, layers, versions in (
            ("layers", "Whole layers: times slower than PyTorch", LAYERS, FAST),
            ("small", "Small input for all, because of the loops: times slower than PyTorch", SMALL_LAYERS, ALL),
        ):
            layers = TINY_LAYERS if options.tiny else layers
            results[key] = [measure(case, versions, options.repeat, pause) for case in layers]
            print(f"\n{title}\n{table(results[key])}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
