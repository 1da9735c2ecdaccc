"""What the course does with a network on a GPU, done on the second device; run by test_second_device.py.

python on_second_device.py FOLDER [cuda]      on a real one, where copies are not counted; the folder is empty

Each function below whose name begins with `do_` is one case. It prints nothing; whatever it raises has failed. What a
case returns is stored with it: copies to the device and back.
"""

import ast
import json
import re
import sys
import traceback
from pathlib import Path

import numpy as np
import second_device
import torch
from small_training import bars, lenet_like
from torch import nn

from cnn_course import checkpoint, interpret, runs, train
from cnn_course.augment import Augment
from cnn_course.commands import cli
from cnn_course.receptive_field import gradient_map, measured_field
from cnn_course.train import TrainConfig
from labs import running

FOLDER, REAL = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
GPU = torch.device(REAL, 0) if REAL == "cuda" else torch.device(REAL) if REAL else second_device.DEVICE
NAME, COPIES = REAL or "cuda", second_device.COPIES
EVERY = Augment(crop=1, flip=True, rotate=10.0, cutout=3)
DATA, VAL = bars(96, 0), bars(32, 1)


def network(*after: nn.Module) -> nn.Sequential:
    return lenet_like(*after).to(GPU)


def config(**settings) -> TrainConfig:
    return TrainConfig(**{"epochs": 2, "batch_size": 16, "lr": 0.01, "device": NAME} | settings)


def copies(**settings) -> list[int]:
    """To the device and back, of one training. A step that copied would do so once more in each."""
    before = dict(COPIES)
    train.fit(network(nn.BatchNorm2d(6), nn.Dropout(0.1)), DATA, config(**settings), verbose=False)
    return [COPIES[way] - before[way] for way in COPIES]


def steps(**settings) -> dict[str, list[int]]:
    found = {str(size): copies(batch_size=size, **settings) for size in (48, 8)}  # 2 and 12 steps an epoch
    assert found["48"] == found["8"], f"a step copies: {found}"
    return found


def do_a_step_of_adamw():
    return steps()


def do_a_step_of_sgd():
    return steps(optimizer="sgd", schedule="one-cycle", label_smoothing=0.1)


def do_a_step_with_crop_and_flip():
    return steps(augment=Augment(crop=1, flip=True))


def do_a_step_with_every_augmentation():
    return steps(augment=EVERY)


def do_a_step_with_amp():
    return steps(amp=True)


def do_a_step_of_an_augmentation_that_cannot_draw_ahead():
    """It draws on the CPU and copies in each step: one that draws on the device need not."""
    few, many = (copies(batch_size=size, augment=lambda x, draws: EVERY(x, draws)) for size in (48, 8))
    assert REAL or (many[0] > few[0] and many[1] == few[1])
    return {"48": few, "8": many}


def do_the_same_result_as_on_the_cpu():
    histories = [
        train.fit(lenet_like(), DATA, config(device=device, augment=EVERY), val=VAL, verbose=False)
        for device in ("cpu", NAME)
    ]
    for name in ("train_loss", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(*(h.column(name) for h in histories), rtol=1e-4)
    assert [h.device for h in histories] == ["cpu", str(GPU if not REAL else REAL)]


def do_validation_by_patience():
    history = train.fit(network(), DATA, config(patience=1, epochs=3), val=VAL, verbose=False)
    assert history.restored


def do_a_checkpoint_of_the_device_goes_on_on_the_cpu_and_back():
    whole = train.fit(lenet_like(), DATA, config(epochs=3, augment=EVERY), verbose=False)
    for epochs, device in ((1, NAME), (2, "cpu"), (3, NAME)):
        recipe = config(epochs=epochs, device=device, augment=EVERY)
        resumed = train.fit(lenet_like(), DATA, recipe, verbose=False, checkpoint=FOLDER / "run")
    np.testing.assert_allclose(resumed.column("train_loss"), whole.column("train_loss"), rtol=1e-4)
    assert all(v.device.type == "cpu" for v in checkpoint.load(FOLDER / "run")["model"].values())


def do_predict_and_evaluate():
    net = network()
    there = train.predict(net, VAL.images, 7)
    np.testing.assert_allclose(there, train.predict(net.cpu(), VAL.images, 7), atol=1e-5)
    assert np.isfinite(train.evaluate(network(), VAL)).all() and 0 <= train.accuracy(network(), VAL) <= 1


def do_weights_in_a_file():
    runs.save_weights("w", network(), {}, FOLDER)
    net = network()
    runs.load_weights("w", net, FOLDER)
    assert all(p.device == GPU for p in net.parameters())


def do_look_inside():
    net = network()
    images, x = VAL.images, VAL.images[0]
    assert interpret.activations(net, images, ["0"])["0"].device == GPU
    assert interpret.first_layer_filters(net).device == GPU
    for map_ in (
        interpret.occlusion(net, x, 1, window=4),
        interpret.saliency(net, x, 1),
        interpret.saliency(net, x, 1, copies=3),
        interpret.grad_cam(net, "3", x, 1),
    ):
        assert map_.device == GPU
    assert interpret.top_images(net, "3", [0, 2], images, k=3).patches.device == GPU
    assert interpret.maximise(net, "3", 1, (1, 12, 12), steps=3)[0].device == GPU


def do_receptive_fields():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 1, 3)).to(GPU)
    assert measured_field(net, (1, 20, 20)) == measured_field(net.cpu(), (1, 20, 20))
    assert gradient_map(net.to(GPU), torch.ones(2, 1, 20, 20)).shape == (20, 20)


def do_train_from_the_shell():
    words = ("mlp", "--data", "digits", "--epochs", "1", "--device", NAME, "--crop", "1", "--weights")
    assert cli.main(["train", *words, "--output", str(FOLDER / "runs")]) == 0
    about = runs.load("mlp-digits-s0", FOLDER / "runs").about
    assert about["device"] == (REAL or str(GPU)) and about["precision"] == "float32"
    assert bool(about["hardware"]["gpu"]) == (REAL == "cuda")


class ToTheDevice(ast.NodeTransformer):
    """An answer that says `.to(DEVICE)` of all that it makes and returns, but for arrays of NumPy."""

    MAKES = ("torch.tensor", "lenet_from", "course_lenet", "network_from", "nn.Sequential")

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        return _there(node) if ast.unparse(node.func) in self.MAKES else node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return node  # what a module makes of its input is where that is

    def visit_Return(self, node: ast.Return) -> ast.Return:
        self.generic_visit(node)
        plain = node.value is None or isinstance(node.value, ast.List) or "np.array" in ast.unparse(node.value)
        if node.value is not None and not plain:
            node.value = _there(node.value)
        return node


def _there(node: ast.expr) -> ast.expr:
    return ast.Call(ast.Attribute(node, "to", ast.Load()), [ast.Name("DEVICE", ast.Load())], [])


def _points_of(lab: str) -> None:
    """All tests of the lab pass."""
    notebook = running.master(lab)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "code":
            tree = ast.fix_missing_locations(ToTheDevice().visit(ast.parse(cell.source)))
            cell.source = f"DEVICE = torch.device({str(GPU)!r})\n\n\n{ast.unparse(tree)}\n"
    before = COPIES["to the device"]
    failed = {name: said for name, said in running.run(notebook).items() if said}
    assert not failed, failed
    assert REAL or COPIES["to the device"] > before + 100


def do_lab06_with_answers_on_the_device():
    _points_of("lab06_lenet")


def do_lab07_with_answers_on_the_device():
    _points_of("lab07_architectures")


def main() -> int:
    if not REAL:
        second_device.install()
    torch.set_num_threads(1)
    found = {}
    for name, case in list(globals().items()):
        needs_a_device = re.search("lab|step", name)  # test_labs has the labs, and a CPU has no copies to count
        if name.startswith("do_") and not (REAL == "cpu" and needs_a_device):
            try:
                found[name] = {"error": "", "copies": case()}
            except Exception:
                found[name] = {"error": traceback.format_exc(), "copies": None}
    (FOLDER / "found.json").write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
