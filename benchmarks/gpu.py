"""What a GPU makes of the course, in one command; each result is written as it comes, the most valuable first.

    python benchmarks/gpu.py [--output gpu-results] [--minutes 10] [--data NAME] [--epochs 20] [--tiny]

1. The tests of the second device, on the real one: training, validation, checkpoints, looking inside, labs 06 and 07.
2. Images per second of `fit`, with crop and flip, and the memory that it takes: LeNet, ResNet-20, ResNet-18, ResNet-50,
   each with no switch, half precision (amp), the other order in memory (channels_last=False), cuDNN's own measurements
   (torch.backends.cudnn.benchmark); in the end with compile, which takes minutes.
3. `fit` beside the loop of the tutorials and the bare step (see training.py).
4. ResNet-56 and ResNet-20 with their plain twins on 32 x 32 pictures, in the paper's recipe (He et al. 2016): batches
   of 128, SGD, a rate of 0.1 that is divided by 10 after a half and three quarters, crop and flip. Its 64,000 steps are
   182 epochs; --epochs says how many, in the same proportions. Files as `cnn-course train` writes them, for data/runs/.

What is not done after --minutes waits for the next call, which goes on where this one stopped: what was measured is
kept, and a training has its checkpoint. Without a GPU, and with --tiny, all of it runs small on the CPU: that shows
that it runs, and measures nothing.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import training
from training import compare, comparison_table, images_per_second, spread

from cnn_course import datasets
from cnn_course.files.whole_files import write_whole
from cnn_course.models.lenet import lenet
from cnn_course.models.resnet import resnet50
from cnn_course.runs import circumstances

ROOT = Path(__file__).resolve().parents[1]
NETS = (*training.NETS, ("ResNet-50", resnet50, (3, 224, 224), 128))
PLAIN = {"amp": False, "channels_last": True, "compile": False, "cudnn.benchmark": False}
SWITCHES = ("none", "amp", "channels_last", "cudnn.benchmark")
RECORDED = ("resnet56", "plain56", "resnet20", "plain20")
RECIPE = "--batch-size 128 --optimizer sgd --lr 0.1 --weight-decay 0.0001 --schedule step --crop 4 --flip --seed 0"


class Results:
    """What was measured, in a file that is whole after each of them; what it holds already is not measured again."""

    def __init__(self, file: Path, about: dict) -> None:
        self.file = file
        self.found = json.loads(file.read_text()) if file.exists() else {"about": about}
        if self.found["about"] != about:
            raise SystemExit(
                f"{file} was measured with something else ({self.found['about']}, now {about}): name another --output"
            )

    def __call__(self, name: str, measure: Callable[[], object]) -> None:
        """Measure what has no result yet. What fails is a result too, and leaves the others."""
        if name in self.found:
            return
        start = time.perf_counter()
        try:
            found = measure()
        except (RuntimeError, ValueError, OSError, subprocess.SubprocessError) as error:
            found = {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
        self.found[name] = {"found": found, "seconds": round(time.perf_counter() - start, 1)}
        write_whole(self.file, (json.dumps(self.found, indent=2) + "\n").encode())
        print(f"{name:34} {found}", flush=True)


def second_device_tests(device: str) -> dict[str, str]:
    """What fails on the real device, by case."""
    tests = ROOT / "tests"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, tests / "on_second_device.py", folder, device]
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (tests, ROOT)))}
        subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
        found = json.loads(Path(folder, "found.json").read_text())
    failed = {name: case["error"].splitlines()[-1] for name, case in found.items() if case["error"]}
    return {"cases": len(found), "failed": failed}


def speed(make: Callable, shape: tuple, batch: int, switch: str, device: str, tiny: bool) -> dict[str, float]:
    """Images per second with one thing switched, and the most memory that was in use, in GiB."""
    on = {name for name, value in (PLAIN | ({switch: not PLAIN[switch]} if switch in PLAIN else {})).items() if value}
    cuda = device == "cuda"
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = "cudnn.benchmark" in on
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    torch._dynamo.reset()
    try:
        steps, repeat = (2, 1) if tiny else (10, 3)
        found = {"images_per_second": round(images_per_second(make, shape, batch, steps, repeat, device, on), 1)}
    finally:
        torch.backends.cudnn.benchmark = before
    return found | ({"GiB": round(torch.cuda.max_memory_allocated() / 2**30, 2)} if cuda else {})


def beside_the_loop(device: str, tiny: bool) -> dict[str, dict]:
    data = datasets.load("glyphs")
    train, val = spread(data.train, 128 if tiny else 10_000), spread(data.val, 50 if tiny else 2_000)
    found = compare(train, val, 64 if tiny else 256, 1, 1 if tiny else 3, device)
    print(comparison_table(found), flush=True)
    return found


def record(model: str, data: str, epochs: int, device: str, folder: Path, seconds: float, tiny: bool) -> bool:
    """Train and record; whether it is done. After `seconds` it stops, and the next call goes on from its checkpoint."""
    name = f"{model}-paper-{data}-s0"
    if (folder / f"{name}.json").exists():
        return True
    words = ["train", model, "--data", data, "--epochs", str(epochs), *RECIPE.split(), "--device", device]
    words += ["--name", name, "--output", str(folder), *(["--images", "64", "--width", "4"] if tiny else [])]
    process = subprocess.Popen([sys.executable, "-m", "cnn_course", *words], cwd=ROOT)
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # it says what it has done, and keeps the last whole epoch
        process.wait()
        return False


def usable(named: str | None, tiny: bool) -> str:
    """The data of the recorded trainings: that of the paper where it is at hand."""
    if named is not None or tiny:
        return named or "shapes"
    here = {row.name for row in datasets.describe() if row.state in ("on disk", "built in")}
    return next(name for name in ("cifar10", "cifar10-jpeg", "shapes") if name in here)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("gpu-results"), help="folder; a second call goes on there")
    parser.add_argument("--minutes", type=float, default=10.0, help="begin nothing after so many")
    parser.add_argument("--data", help="of the recorded trainings; default: cifar10, where it is not there shapes")
    parser.add_argument("--epochs", type=int, default=20, help="of the recorded trainings; the paper has 182")
    parser.add_argument("--tiny", action="store_true", help="small and on the CPU: shows that it runs")
    options = parser.parse_args(arguments)
    if options.minutes <= 0 or options.epochs < 1:
        parser.error("--minutes and --epochs must be above 0")
    tiny = options.tiny or not torch.cuda.is_available()
    if tiny and not options.tiny:
        print("No GPU here: everything runs small, on the CPU, and measures nothing.", flush=True)
    device, end = ("cpu" if tiny else "cuda"), time.monotonic() + 60 * options.minutes
    options.output.mkdir(parents=True, exist_ok=True)
    where = circumstances(device)
    about = {"device": device, **where["hardware"], **where["versions"]}
    results = Results(options.output / "gpu.json", about)
    data = usable(options.data, tiny)

    todo = {"second device": lambda: second_device_tests(device)}
    nets = [("LeNet", lenet, (1, 28, 28), 8)] if tiny else NETS
    for switch in SWITCHES:
        for name, make, shape, batch in nets:
            todo[f"speed of {name}, {switch}"] = lambda m=make, s=shape, b=batch, w=switch: speed(
                m, s, b, w, device, tiny
            )
    todo["fit and the loop"] = lambda: beside_the_loop(device, tiny)
    for name, measure in todo.items():
        if time.monotonic() < end:
            results(name, measure)
    epochs = 1 if tiny else options.epochs
    done = [
        time.monotonic() < end and record(model, data, epochs, device, options.output, end - time.monotonic(), tiny)
        for model in (RECORDED[-1:] if tiny else RECORDED)
    ]
    if not tiny:
        for name, make, shape, batch in NETS:
            if time.monotonic() < end:
                results(
                    f"speed of {name}, compile",
                    lambda m=make, s=shape, b=batch: speed(m, s, b, "compile", device, tiny),
                )
    compiled = [] if tiny else [f"speed of {name}, compile" for name, *_ in NETS]
    waits = [name for name in (*todo, *compiled) if name not in results.found]
    waits += [model for model, whole in zip(RECORDED, done, strict=False) if not whole]
    print(f"Written to {options.output}. " + (f"The same call goes on with: {', '.join(waits)}" if waits else "Done."))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
