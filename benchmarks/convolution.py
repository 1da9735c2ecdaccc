"""How does each way to convolve in NumPy compare with PyTorch? Prints ratios, measured in one run.

    python benchmarks/convolution.py [--repeat 15] [--threads N] [--json FILE] [--roofline FILE.png]

Every version gets the same float32 input and the same number of threads. They take turns: one round times each of
them once, after a pause and a call that is not timed (the threads of the one before have then gone to sleep, and the
caches are warm), and there are `--repeat` rounds. A slow moment of the machine thus meets all of them. A ratio is the
median time of a version divided by the median time of `torch.nn.functional.conv2d`; the range beside it holds the
middle half of the rounds. The file also has the ratio of the fastest rounds, which a busy machine disturbs least.
"""

import argparse
import functools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import threadpoolctl
import torch

from cnn_course import visualize
from cnn_course.convolution import conv2d, conv2d_loops, conv2d_windows, output_size
from cnn_course.runs import processor


class Case(NamedTuple):
    """A layer: images, channels, height = width -> filters, kernel size, padding, stride, groups; and our aim."""

    n: int
    c: int
    size: int
    o: int
    k: int
    padding: int = 0
    stride: int = 1
    groups: int = 1
    aim: float | None = 1.5

    def __str__(self) -> str:
        extras = {"padding": self.padding, "stride": self.stride if self.stride > 1 else 0}
        extras["groups"] = self.groups if self.groups > 1 else 0
        said = "".join(f", {name} {value}" for name, value in extras.items() if value)
        return f"({self.n}, {self.c}, {self.size}, {self.size}) -> {self.o}, {self.k} x {self.k}{said}"

    @property
    def options(self) -> dict[str, int]:
        return {"padding": self.padding, "stride": self.stride, "groups": self.groups}

    @property
    def outputs(self) -> int:
        return self.n * self.o * output_size(self.size, self.k, stride=self.stride, padding=self.padding) ** 2

    @property
    def flops(self) -> int:
        """Of the direct sum: one multiplication and one addition per weight and output."""
        return 2 * self.outputs * (self.c // self.groups) * self.k**2

    @property
    def bytes(self) -> int:
        """What must be moved at least, in float32: input, kernels and output, each once."""
        return 4 * (self.n * self.c * self.size**2 + self.o * self.c // self.groups * self.k**2 + self.outputs)


# The aim is a ratio to PyTorch that the fastest of our methods should not exceed, on one thread; without one we claim
# nothing.
LAYERS = (
    Case(64, 64, 32, 64, 3, 0, aim=1.0),
    Case(64, 64, 32, 64, 3, 1, aim=1.0),
    Case(8, 64, 56, 64, 3, 1, aim=1.0),
    Case(1, 64, 224, 64, 3, 1, aim=1.0),
    Case(16, 128, 28, 128, 3, 1, aim=1.0),
    Case(16, 256, 14, 256, 3, 0, aim=1.0),
    Case(16, 256, 14, 256, 3, 1, aim=1.0),
    Case(8, 512, 14, 512, 3, 1, aim=1.0),
    Case(32, 512, 7, 512, 3, 1, aim=1.0),
    Case(64, 32, 32, 32, 3, 1),
    Case(64, 16, 32, 16, 3, 1),
    Case(64, 1, 28, 6, 5),
    Case(32, 64, 28, 64, 5, 2),
    Case(16, 3, 112, 64, 7, 3, 2, aim=None),
    Case(64, 64, 32, 64, 3, 1, 2),
    Case(16, 256, 14, 64, 1),
    Case(16, 64, 28, 64, 13, 6),
    Case(4, 3, 128, 3, 31, 15),
    Case(64, 3, 32, 64, 3, 1, aim=None),
    Case(16, 64, 32, 64, 3, 1, 1, 64, aim=None),
)
# The loops are too slow for whole layers: all versions, PyTorch too, get these small ones.
SMALL_LAYERS = (Case(1, 1, 28, 6, 5, aim=None), Case(1, 8, 14, 8, 3, aim=None))
TINY_LAYERS = (Case(2, 1, 8, 2, 3), Case(2, 3, 6, 4, 3, 1, aim=1.0))

METHODS = {name: functools.partial(conv2d, method=name) for name in ("auto", "direct", "winograd", "fft")}
ALL = {"auto": conv2d, "conv2d_windows": conv2d_windows, "conv2d_loops": conv2d_loops}


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
    x = rng.standard_normal((case.n, case.c, case.size, case.size), dtype=np.float32)
    w = rng.standard_normal((case.o, case.c // case.groups, case.k, case.k), dtype=np.float32)
    x_torch, w_torch = torch.from_numpy(x), torch.from_numpy(w)
    fits = {"winograd": case.k == 3 and case.stride == 1, "fft": case.k > 3 and case.stride == case.groups == 1}
    calls = {"torch": lambda: torch.nn.functional.conv2d(x_torch, w_torch, **case.options)}
    calls |= {name: lambda f=f: f(x, w, **case.options) for name, f in versions.items() if fits.get(name, True)}
    reference = calls["torch"]().numpy()
    for name, call in calls.items():
        np.testing.assert_allclose(call(), reference, atol=1e-4 * np.abs(reference).max(), err_msg=name)

    # Short calls are timed several at once, so that the clock is fine enough.
    several = {name: max(1, int(0.01 / seconds_per_call(call, 1, 0))) for name, call in calls.items()}
    rounds = [
        {name: seconds_per_call(call, several[name], pause) for name, call in calls.items()} for _ in range(repeat)
    ]
    medians = {name: statistics.median(r[name] for r in rounds) for name in calls}
    result = {"case": str(case), "layer": case._asdict(), "torch_ms": 1000 * medians["torch"], "ratios": {}}
    for name in list(calls)[1:]:
        ratios = [r[name] / r["torch"] for r in rounds]
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive") if repeat > 1 else (ratios * 3)
        fastest = min(r[name] for r in rounds) / min(r["torch"] for r in rounds)
        result["ratios"][name] = {
            "median": medians[name] / medians["torch"],
            "middle_half": [low, high],
            "fastest": fastest,
        }
    result["best"] = min(result["ratios"], key=lambda name: result["ratios"][name]["median"])
    return result


def table(results: list[dict], names: Sequence[str]) -> str:
    lines = [f"{'(N, C, H, W) -> O, k':48}{'torch':>11}" + "".join(f"{name:>22}" for name in names)]
    for result in results:
        line = f"{result['case']:48}{result['torch_ms']:8.2f} ms"
        for name in names:
            ratio = result["ratios"].get(name)
            if ratio is None:
                line += " " * 22
                continue
            low, high = ratio["middle_half"]
            digits = 2 if high < 100 else 0
            line += f"{ratio['median']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})".rjust(22)
        aim, best = result["layer"]["aim"], result["ratios"][result["best"]]["median"]
        if aim is not None:
            line += f"   best {best:.2f}, aim {aim}: {'kept' if best <= aim else 'MISSED'}"
        lines.append(line)
    return "\n".join(lines)


def ceilings() -> tuple[float, float]:
    """(operations per second, bytes per second) that this machine reaches: a large matrix product, a large copy."""
    a, b, c = (np.ones((1024, 1024), np.float32) for _ in range(3))
    source, target = np.ones(1 << 24, np.float32), np.ones(1 << 24, np.float32)
    product = min(seconds_per_call(lambda: np.matmul(a, b, out=c), 3, 0) for _ in range(5))
    copy = min(seconds_per_call(lambda: np.copyto(target, source), 3, 0) for _ in range(5))
    return 2 * 1024**3 / product, 2 * source.nbytes / copy


def roofline(results: list[dict], path: Path) -> None:
    """Draw what each layer reached (operations of the direct sum per second) under the machine's two ceilings."""
    peak, bandwidth = ceilings()
    visualize.use_style()
    fig, ax = plt.subplots(figsize=(8, 4.6))
    intensity = np.geomspace(1, 1000, 100)
    ax.plot(intensity, np.minimum(peak, intensity * bandwidth) / 1e9, color="black", label="roof: matrix product, copy")
    for name, marker in zip(("torch", *METHODS), "s.ox^", strict=True):
        points = []
        for result in results:
            case = Case(**result["layer"])
            ratio = 1.0 if name == "torch" else result["ratios"].get(name, {}).get("median")
            if ratio is not None and name != "auto":
                points.append((case.flops / case.bytes, case.flops / result["torch_ms"] / ratio / 1e6))
        if points:
            ax.plot(*zip(*points, strict=True), marker, label=name, linestyle="none", alpha=0.8)
    ax.set(xscale="log", yscale="log", xlabel="operations of the direct sum per byte moved (FLOP/byte)")
    ax.set(ylabel="direct-sum operations per second (GFLOP/s)")
    ax.set_title("Fewer multiplications reach above the roof that direct sums stay under")
    ax.legend()
    fig.savefig(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=15, help="rounds; a ratio comes from medians over them")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="for NumPy and PyTorch alike")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--roofline", type=Path, metavar="FILE", help="draw the layers under this machine's ceilings")
    parser.add_argument("--tiny", action="store_true", help="tiny layers: shows that it runs, measures nothing")
    options = parser.parse_args(arguments)
    if options.repeat < 1 or options.threads < 1:
        parser.error("--repeat and --threads must be at least 1")

    threads = set_threads(options.threads)
    pause = 0.0 if options.tiny else 0.05
    results = {
        "numpy": np.__version__,
        "torch": torch.__version__,
        "cpu": processor(),
        "threads": threads,
        "repeat": options.repeat,
    }
    print(f"NumPy {np.__version__}, PyTorch {torch.__version__}, {results['cpu']}")
    print(f"threads: NumPy {threads['numpy']}, PyTorch {threads['torch']}; {options.repeat} rounds, float32")
    with torch.inference_mode():
        for key, title, layers, versions in (
            ("layers", "Whole layers: time as a multiple of PyTorch's", LAYERS, METHODS),
            ("small", "Small input for all, because of the loops: time as a multiple of PyTorch's", SMALL_LAYERS, ALL),
        ):
            layers = TINY_LAYERS if options.tiny else layers
            results[key] = [measure(case, versions, options.repeat, pause) for case in layers]
            print(f"\n{title}\n{table(results[key], list(versions))}", flush=True)
    if options.roofline:
        roofline(results["layers"], options.roofline)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
