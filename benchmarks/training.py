"""How many times faster is `fit` than the loop of the tutorials? Prints ratios, measured in one run.

    python benchmarks/training.py [--images 20000] [--epochs 2] [--repeat 3] [--batch-size 256] [--threads N]
        [--json FILE] [--no-switches]

LeNet on MNIST (on the course's glyphs where MNIST is not in CNN_COURSE_DATA), cropped at random from images with two
pixels of black on each side, and normalised. The loop of the tutorials is a DataLoader over PIL images with
torchvision's RandomCrop, ToTensor and Normalize, in the main process and with two workers; `fit` keeps the images as
uint8 and crops them in batches. All begin with the same weights and take the same batch size, optimizer and threads.
The bound of both is the bare step: forward, backward, optimizer on batches that lie ready as floats, in order, and
nothing else. `fit` is held against it without cropping, and what it takes more is what its own work costs.
The batch size decides much: 256, as in d2l.ai's LeNet, leaves little of a step but the network's own work. With 64 all
are slower, and `fit`, which has little else to lose, by the larger share.

They take turns: a round trains each of them once from the beginning, with a seed of its own. A ratio is the median
time of a loop divided by the median time of `fit`, and the range beside it holds the middle half of the rounds. The
accuracies are means over the rounds, on the validation split, after the same number of epochs.

Then come images per second of `fit`, with crop and flip, with each switch on alone and all together: half precision
(amp), channels_last, compile. On a GPU, `benchmarks/gpu.py` measures all this and more.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from convolution import set_threads
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from cnn_course import datasets
from cnn_course.augment import Augment
from cnn_course.models.lenet import lenet
from cnn_course.models.normalise import Normalise
from cnn_course.models.resnet import resnet18, resnet_cifar
from cnn_course.runs import processor
from cnn_course.train import TrainConfig, accuracy, fit

LR, PADDING = 3e-3, 2
CPU_BATCH = 64  # of the switches, where no GPU is
SWITCHES = ("amp", "channels_last", "compile")
# name, network, shape of an image, images in a batch on a GPU
NETS = (
    ("LeNet", lenet, (1, 28, 28), 4096),
    ("ResNet-20", resnet_cifar, (3, 32, 32), 1024),
    ("ResNet-18", resnet18, (3, 224, 224), 256),
)


class PilImages(Dataset):
    """Images one at a time, as torchvision's data sets give them."""

    def __init__(self, split: datasets.Split, transform: Callable) -> None:
        self.images, self.labels, self.transform = split.images, split.labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[i, 0])), int(self.labels[i])


def spread(split: datasets.Split, count: int) -> datasets.Split:
    """`count` of the images, at even distances."""
    chosen = np.linspace(0, len(split) - 1, min(count, len(split))).astype(int)
    return datasets.Split(split.images[chosen], split.labels[chosen])


def first_weights(norm: Normalise, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(norm, lenet())


def with_fit(
    train: datasets.Split,
    norm: Normalise,
    batch_size: int,
    epochs: int,
    seed: int,
    device: str,
    augment: Augment | None,
) -> nn.Module:
    model = first_weights(norm, seed)
    config = TrainConfig(epochs, batch_size, LR, seed=seed, device=device, augment=augment)
    fit(model, train, config, verbose=False)
    return model


def bare(train: datasets.Split, norm: Normalise, batch_size: int, epochs: int, seed: int, device: str) -> nn.Module:
    model = first_weights(norm, seed).to(device, memory_format=torch.channels_last).train()
    ready = (torch.tensor(train.images).to(device).float() / 255, torch.tensor(train.labels).to(device))
    batches = list(zip(*(part.split(batch_size) for part in ready), strict=True))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.0)
    for _ in range(epochs):
        for images, labels in batches:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
    float(next(model.parameters()).detach().sum())  # a GPU is done when a number is there
    return model.eval()


def with_a_loop(
    train: datasets.Split, norm: Normalise, batch_size: int, epochs: int, seed: int, device: str, workers: int
) -> nn.Module:
    model = first_weights(norm, seed).to(device)
    steps = [transforms.RandomCrop(train.images.shape[2:], padding=PADDING), transforms.ToTensor()]
    steps.append(transforms.Normalize(norm.mean.flatten().tolist(), norm.std.flatten().tolist()))
    batches = DataLoader(PilImages(train, transforms.Compose(steps)), batch_size, shuffle=True, num_workers=workers)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model[1].parameters(), lr=LR, weight_decay=0.0)
    for _ in range(epochs):
        model[1].train()
        total_loss = correct = 0.0
        for images, labels in batches:
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            logits = model[1](images)
            loss = criterion(logits, labels)
            loss.backward()
            optimizer.step()
            total_loss += loss.item() * len(labels)
            correct += (logits.argmax(dim=1) == labels).sum().item()
    return model.eval()


def compare(
    train: datasets.Split, val: datasets.Split, batch_size: int, epochs: int, repeat: int, device: str = "cpu"
) -> dict[str, dict]:
    norm = Normalise.of(train.images)
    versions = {
        "fit": lambda *args: with_fit(*args, augment=Augment(crop=PADDING)),
        "fit without cropping": lambda *args: with_fit(*args, augment=None),
        "bare step": bare,
        "loop, main process": lambda *args: with_a_loop(*args, workers=0),
        "loop, 2 workers": lambda *args: with_a_loop(*args, workers=2),
    }
    few = spread(train, 2 * batch_size)
    for version in versions.values():  # what torch loads and chooses on first use is not timed
        version(few, norm, batch_size, 1, 0, device)
    seconds, scores = ({name: [] for name in versions} for _ in range(2))
    for seed in range(repeat):
        for name, version in versions.items():
            start = time.perf_counter()
            model = version(train, norm, batch_size, epochs, seed, device)
            seconds[name].append((time.perf_counter() - start) / epochs)
            scores[name].append(accuracy(model, val))
    found = {}
    for name in versions:
        ratios = [one / ours for one, ours in zip(seconds[name], seconds["fit"], strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive") if repeat > 1 else ratios * 3
        median = statistics.median(seconds[name])
        found[name] = {
            "seconds_per_epoch": median,
            "ratio": median / statistics.median(seconds["fit"]),
            "middle_half": [low, high],
            "accuracy": statistics.mean(scores[name]),
            "accuracies": scores[name],
        }
    return found


def comparison_table(found: dict[str, dict]) -> str:
    lines = [f"{'':22}{'s per epoch':>12}{'times fit':>26}{'val accuracy (range)':>32}"]
    for name, row in found.items():
        ratio = f"{row['ratio']:.2f} ({row['middle_half'][0]:.2f} to {row['middle_half'][1]:.2f})"
        score = f"{row['accuracy']:.4f} ({min(row['accuracies']):.4f} to {max(row['accuracies']):.4f})"
        lines.append(f"{name:22}{row['seconds_per_epoch']:12.2f}{ratio:>26}{score:>32}")
    ratio = min(row["ratio"] for name, row in found.items() if name.startswith("loop"))
    lines.append(
        f"against the faster loop: {ratio:.2f} times, at least 3: {'kept' if ratio >= 3 else 'MISSED'} (aim 5)"
    )
    more = found["fit without cropping"]["seconds_per_epoch"] / found["bare step"]["seconds_per_epoch"] - 1
    lines.append(f"without cropping, fit takes {100 * more:.1f} % more than the bare step (aim 3)")
    return "\n".join(lines)


def images_per_second(make: Callable, shape: tuple, batch: int, steps: int, repeat: int, device: str, on: set) -> float:
    """Of `fit`, in the fastest of its epochs; the first one, in which torch compiles and tries, is not counted."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch * steps, *shape), dtype=np.uint8)
    data = datasets.Split(images, rng.integers(0, 10, len(images)))
    torch.manual_seed(0)
    switches = {name: name in on for name in SWITCHES}
    augment = Augment(crop=shape[1] // 8, flip=True)
    config = TrainConfig(1 + repeat, batch, 1e-4, device=device, augment=augment, **switches)
    history = fit(make(), data, config, verbose=False)
    return len(images) / history.column("seconds")[1:].min()


def switches(tiny: bool, repeat: int) -> list[dict]:
    cuda = torch.cuda.is_available() and not tiny
    sets = [set(), *({name} for name in SWITCHES), set(SWITCHES)]
    rows = []
    for net, make, shape, batch in NETS[: 1 if tiny else 3 if cuda else 2]:
        row = {"net": net, "batch": batch if cuda else 8 if tiny else CPU_BATCH, "images_per_second": {}}
        for on in sets[: 2 if tiny else None]:
            name = "none" if not on else "all" if len(on) > 1 else next(iter(on))
            steps = 20 if cuda else 2 if tiny else 6
            torch._dynamo.reset()
            row["images_per_second"][name] = images_per_second(
                make, shape, row["batch"], steps, repeat, "cuda" if cuda else "cpu", on
            )
        rows.append(row)
        base = row["images_per_second"]["none"]
        speeds = (f"{name} {speed:,.0f} ({speed / base:.2f})" for name, speed in row["images_per_second"].items())
        print(f"{net:12}batch {row['batch']:5}   {'   '.join(speeds)}", flush=True)
    return rows


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=20_000, help="training images, spread over the training split")
    parser.add_argument("--epochs", type=int, default=2, help="of each training")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; a ratio comes from medians over them")
    parser.add_argument("--batch-size", type=int, default=256, help="of the comparison")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="for all alike")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--no-switches", action="store_true", help="leave out amp, channels_last and compile")
    parser.add_argument("--tiny", action="store_true", help="few images: shows that it runs, measures nothing")
    options = parser.parse_args(arguments)
    if min(options.images, options.epochs, options.repeat, options.batch_size, options.threads) < 1:
        parser.error("--images, --epochs, --repeat, --batch-size and --threads must be at least 1")
    threads = set_threads(options.threads)["torch"]
    try:
        data = datasets.load("mnist")
    except datasets.DatasetError:
        data = datasets.load("glyphs")
    train = spread(data.train, 3 * options.batch_size if options.tiny else options.images)
    val = spread(data.val, 100 if options.tiny else len(data.val))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    results = {"torch": torch.__version__, "cpu": processor(), "device": device, "threads": threads}
    results |= {"data": data.name, "images": len(train), "epochs": options.epochs, "repeat": options.repeat}
    results["batch_size"] = options.batch_size
    print(f"PyTorch {torch.__version__}, {results['cpu']}, {device}; PyTorch's threads: {threads}")
    print(f"\nLeNet on the CPU, {len(train):,} images of {data.name} in batches of {options.batch_size}, ", end="")
    print(f"{options.epochs} epochs, {options.repeat} rounds")
    results["loops"] = compare(train, val, options.batch_size, options.epochs, options.repeat)
    print(comparison_table(results["loops"]), flush=True)
    if not options.no_switches:
        print("\nImages per second of fit, in brackets times that of no switch")
        results["switches"] = switches(options.tiny, options.repeat)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
