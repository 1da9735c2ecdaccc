"""How many times slower than PyTorch does a NumPy CNN train? Prints ratios, measured in one run.

    python benchmarks/numpy_cnn.py [--repeat 25] [--threads N] [--json FILE]

The network is that of lecture 09: two 3x3 convolutions with ReLU and 2x2 max pooling, then a fully connected layer, in
float32. A step is forward, cross-entropy and backward, without and with the update by SGD with momentum. NumPy and
PyTorch get the same weights, images and number of threads, and it is asserted first that loss and gradients agree. They
take turns, as in benchmarks/convolution.py: a ratio is the median time of NumPy divided by the median time of PyTorch,
and the range beside it holds the middle half of the rounds. Then come the layers one by one, and the textbook version,
whose convolutions are loops over single numbers, there and back.
"""

import argparse
import dataclasses
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from convolution import seconds_per_call, set_threads
from torch import nn

from cnn_course import convolution, network
from cnn_course.network import Network, affine, conv, flatten, max_pool, relu
from cnn_course.runs import processor

LEARN = {"lr": 1e-4, "momentum": 0.9, "weight_decay": 5e-3}
CASES = ((16, 8), (64, 8), (64, 28))  # (batch, side of the images); lecture 09 trains with (16, 8)
LOOPS_CASE, MANY = (2, 8), 64  # the loops are too slow for more images; their time per image does not depend on it
FILTERS = (32, 64)


def numpy_net(side: int, filters: tuple[int, int], seed: int = 0) -> Network:
    first, second = filters
    stack = [conv(1, first, 3, padding=1), relu(), max_pool(2), conv(first, second, 3, padding=1), relu(), max_pool(2)]
    return Network([*stack, flatten(), affine(second * (side // 4) ** 2, 10)], seed=seed)


def torch_net(net: Network) -> nn.Sequential:
    """The same layers with copies of the same weights."""
    made = []
    for name, layer in net.layers.items():
        if layer.kind == "conv":
            filters, channels = net.parameters[f"{name}.w"].shape[:2]
            made.append(nn.Conv2d(channels, filters, 3, padding=1))
        elif layer.kind == "affine":
            made.append(nn.Linear(*net.parameters[f"{name}.w"].shape[::-1]))
        else:
            made.append({"relu": nn.ReLU(), "max_pool": nn.MaxPool2d(2), "flatten": nn.Flatten()}[layer.kind])
    model = nn.Sequential(*made)
    with torch.no_grad():
        for parameter, w in zip(model.parameters(), net.parameters.values(), strict=True):
            parameter.copy_(torch.tensor(w))
    return model


def batch(images: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((images, 1, side, side), dtype=np.float32), rng.integers(0, 10, images)


def assert_same(net: Network, other: Network | nn.Module, x: np.ndarray, labels: np.ndarray) -> None:
    """Loss and every gradient of the two nets are equal but for rounding."""
    loss, gradients = net.loss_and_gradients(x, labels)
    if isinstance(other, Network):
        expected, theirs = other.loss_and_gradients(x, labels)
    else:
        mean = nn.functional.cross_entropy(other(torch.tensor(x)), torch.tensor(labels))
        mean.backward()
        expected = mean.item()
        theirs = dict(zip(gradients, (p.grad.numpy() for p in other.parameters()), strict=True))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for name, gradient in gradients.items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(gradient, theirs[name], rtol=0, atol=1e-4 * scale, err_msg=name)


def steps(net: Network, model: nn.Module, x: np.ndarray, labels: np.ndarray, update: bool) -> dict[str, Callable]:
    """One training step of each, as a function without arguments."""
    velocity = {name: np.zeros_like(w) for name, w in net.parameters.items()}
    optimizer = torch.optim.SGD(model.parameters(), **LEARN)
    x_torch, labels_torch = torch.tensor(x), torch.tensor(labels)

    def in_numpy() -> None:
        _, gradients = net.loss_and_gradients(x, labels)
        if update:
            network.sgd_step(net.parameters, gradients, velocity, **LEARN)

    def in_torch() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x_torch), labels_torch).backward()
        if update:
            optimizer.step()

    return {"torch": in_torch, "numpy": in_numpy}


def measure(calls: dict[str, Callable], repeat: int, pause: float) -> dict:
    """Times in turns; the ratio is of the medians of the second and the first."""
    several = {name: max(1, int(0.01 / seconds_per_call(call, 1, 0))) for name, call in calls.items()}
    rounds = [
        {name: seconds_per_call(call, several[name], pause) for name, call in calls.items()} for _ in range(repeat)
    ]
    base, other = calls
    medians = {name: statistics.median(one[name] for one in rounds) for name in calls}
    ratios = [one[other] / one[base] for one in rounds]
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive") if repeat > 1 else ratios * 3
    milliseconds = {name: 1000 * seconds for name, seconds in medians.items()}
    return {"ms": milliseconds, "ratio": medians[other] / medians[base], "middle_half": [low, high]}


def layer_calls(net: Network, model: nn.Sequential, x: np.ndarray) -> dict[str, dict[str, Callable]]:
    """{"conv1 forward": {"torch": call, "numpy": call}, ...}; the first backward is without dx, as in training."""
    found, x_torch, rng = {}, torch.tensor(x), np.random.default_rng(1)
    for (name, layer), module in zip(net.layers.items(), model, strict=True):
        own = {key: net.parameters[f"{name}.{key}"] for key in layer.shapes}
        out, cache = layer.forward(x, **own)
        given = x_torch.detach().requires_grad_(bool(found))
        out_torch = module(given)
        wanted = [*module.parameters(), *([given] if found else [])]
        dout = rng.standard_normal(out.shape, dtype=np.float32)
        dout_torch = torch.tensor(dout)
        skip = {"need_dx": False} if not found else {}
        found[f"{name} forward"] = {
            "torch": lambda module=module, given=given: module(given),
            "numpy": lambda layer=layer, x=x, own=own: layer.forward(x, **own),
        }
        found[f"{name} backward"] = {
            "torch": lambda out=out_torch, wanted=wanted, dout=dout_torch: torch.autograd.grad(
                out, wanted, dout, retain_graph=True
            ),
            "numpy": lambda layer=layer, dout=dout, cache=cache, skip=skip: layer.backward(dout, cache, **skip),
        }
        x, x_torch = out, out_torch
    return found


def in_loops(net: Network) -> Network:
    """The same network with the same weights, whose convolutions are loops over single numbers."""
    twin = Network(list(net.layers.values()))
    twin.parameters = net.parameters
    for name, layer in net.layers.items():
        if layer.kind == "conv":
            twin.layers[name] = dataclasses.replace(layer, forward=loops_forward, backward=loops_backward)
    return twin


def loops_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple:
    return convolution.conv2d_loops(x, w, b, padding=1), (x, w)


def loops_backward(dout: np.ndarray, cache: tuple, *, need_dx: bool = True) -> tuple:
    x, w = cache
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(len(w), w.dtype)
    for n in range(dout.shape[0]):
        for o in range(dout.shape[1]):
            for r in range(dout.shape[2]):
                for s in range(dout.shape[3]):
                    g = dout[n, o, r, s]
                    db[o] += g
                    for c in range(w.shape[1]):
                        for i in range(w.shape[2]):
                            for j in range(w.shape[3]):
                                dw[o, c, i, j] += g * x[n, c, r + i, s + j]
                                if need_dx:
                                    dx[n, c, r + i, s + j] += g * w[o, c, i, j]
    return dx[:, :, 1:-1, 1:-1], dw, db


def line(title: str, result: dict) -> str:
    low, high = result["middle_half"]
    times = "  ".join(f"{name} {ms:8.3f} ms" for name, ms in result["ms"].items())
    digits = 2 if high < 100 else 0
    return f"{title:44}{times}   {result['ratio']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=25, help="rounds; a ratio comes from medians over them")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="for NumPy and PyTorch alike")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--tiny", action="store_true", help="a tiny network: shows that it runs, measures nothing")
    options = parser.parse_args(arguments)
    if options.repeat < 1 or options.threads < 1:
        parser.error("--repeat and --threads must be at least 1")
    cases, filters = (((2, 8),), (2, 3)) if options.tiny else (CASES, FILTERS)
    pause, repeat = (0.0 if options.tiny else 0.02), options.repeat
    threads = set_threads(options.threads)
    results = {"numpy": np.__version__, "torch": torch.__version__, "cpu": processor(), "threads": threads}
    results |= {"repeat": repeat, "filters": filters, "steps": [], "layers": [], "loops": None}
    print(f"NumPy {np.__version__}, PyTorch {torch.__version__}, {results['cpu']}")
    print(f"threads: NumPy {threads['numpy']}, PyTorch {threads['torch']}; {repeat} rounds, float32")

    print("\nA training step: times slower than PyTorch")
    for images, side in cases:
        x, labels = batch(images, side)
        net = numpy_net(side, filters)
        assert_same(net, torch_net(net), x, labels)
        for update in (False, True):
            what = "forward + backward" + (" + SGD" if update else "")
            result = measure(steps(net, torch_net(net), x, labels, update), repeat, pause)
            results["steps"].append({"batch": images, "side": side, "what": what, **result})
            print(line(f"({images}, 1, {side}, {side}) {what}", result), flush=True)

    images, side = cases[-1]
    print(f"\nLayer by layer, ({images}, 1, {side}, {side}): times slower than PyTorch")
    net = numpy_net(side, filters)
    for name, calls in layer_calls(net, torch_net(net), batch(images, side)[0]).items():
        results["layers"].append({"layer": name, **measure(calls, repeat, pause)})
        print(line(name, results["layers"][-1]), flush=True)

    images, side = LOOPS_CASE
    net, (x, labels) = numpy_net(side, filters), batch(images, side)
    slow = in_loops(net)
    assert_same(net, slow, x, labels)
    calls = {"numpy": lambda: net.loss_and_gradients(x, labels), "loops": lambda: slow.loss_and_gradients(x, labels)}
    result = measure(calls, min(repeat, 3), pause)
    many = batch(MANY, side)
    per_image = seconds_per_call(lambda: net.loss_and_gradients(*many), 20, pause) / MANY
    result["per_image_ratio"] = result["ms"]["loops"] / images / (1000 * per_image)
    results["loops"] = {"batch": images, "side": side, "many": MANY, **result}
    print("\nThe textbook loops: times slower than NumPy, forward + backward")
    print(line(f"({images}, 1, {side}, {side}), the same batch for both", result))
    print(f"per image, with {MANY} images at a time for NumPy: {result['per_image_ratio']:,.0f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
