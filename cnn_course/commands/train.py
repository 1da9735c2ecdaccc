"""`cnn-course train MODEL --data NAME`: every option. What happens is in `train_model`."""

import argparse
from pathlib import Path

from cnn_course.commands.values import name_or_path, number, path, whole, words

HELP = "train a network, with checkpoints, and write a results file; --help lists every setting"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A setting of the recipe bears the name of its field in `recipe.TrainConfig`, and has its default if not given."""
    parser.description = "Train a network and write what happened."
    on_off = argparse.BooleanOptionalAction
    parser.add_argument(
        "model", type=words, metavar="MODEL", help="such as lenet, resnet20 or vgg16-bn; a wrong name lists all"
    )
    parser.add_argument(
        "--data", type=name_or_path, required=True, metavar="NAME", help="a data set, or a folder of class folders"
    )
    parser.add_argument("--size", type=whole(), metavar="S", help="scale the images of a folder to S x S")
    parser.add_argument("--images", type=whole(), metavar="N", help="train on N of the training images only")
    parser.add_argument(
        "--title", type=words, metavar="TEXT", help="what the data is, for captions (default: its own title)"
    )
    parser.add_argument(
        "--width", type=whole(), metavar="W", help="channels of the first stage (resnet20, plain20 ...)"
    )
    parser.add_argument("--dropout", type=number(), metavar="P", help="of the fully connected layers of lenet")

    recipe = parser.add_argument_group("recipe")
    recipe.add_argument("--epochs", type=whole(), metavar="N", help="passes over the data (default: 10)")
    recipe.add_argument(
        "--batch-size", type=whole(), metavar="N", help="images per step, over all processes (default: 64)"
    )
    recipe.add_argument("--optimizer", type=words, metavar="NAME", help="adamw (the default) or sgd")
    recipe.add_argument("--lr", type=number(), metavar="X", help="learning rate (default: 0.003)")
    recipe.add_argument("--momentum", type=number(), metavar="X", help="of sgd (default: 0.9)")
    recipe.add_argument("--weight-decay", type=number(), metavar="X", help="(default: 0)")
    recipe.add_argument(
        "--schedule", type=words, metavar="NAME", help="constant (the default), cosine, one-cycle or step"
    )
    recipe.add_argument("--warmup", type=number(), metavar="N", help="epochs in which the rate rises (default: 0)")
    recipe.add_argument("--label-smoothing", type=number(), metavar="X", help="(default: 0)")
    recipe.add_argument(
        "--patience", type=whole(), metavar="N", help="stop after N epochs without a better val accuracy"
    )
    recipe.add_argument(
        "--seed", type=whole(), metavar="N", help="of weights, order, augmentation, dropout (default: 0)"
    )

    augment = parser.add_argument_group("augmentation of the training images")
    augment.add_argument("--crop", type=whole(), default=0, metavar="N", help="shift by up to N pixels")
    augment.add_argument("--flip", action="store_true", help="mirror half of them left to right")
    augment.add_argument("--rotate", type=number(), default=0.0, metavar="X", help="turn by up to X degrees")
    augment.add_argument("--cutout", type=whole(), default=0, metavar="N", help="hide a square of N x N pixels")

    speed = parser.add_argument_group("where and how fast")
    speed.add_argument("--device", type=words, metavar="NAME", help="auto (the default), cpu, cuda, cuda:1 or mps")
    speed.add_argument("--amp", action=on_off, help="compute in bfloat16 where that is safe (default: no)")
    speed.add_argument("--channels-last", action=on_off, help="memory order (default: yes, but on mps)")
    speed.add_argument("--compile", action=on_off, help="torch.compile, for long runs (default: no)")

    results = parser.add_argument_group("results")
    results.add_argument("--output", type=path, default=Path("runs"), metavar="DIR", help="folder (default: ./runs)")
    results.add_argument("--name", type=words, metavar="NAME", help="of the files (default: MODEL-DATA-sSEED)")
    results.add_argument("--weights", action="store_true", help="write the weights too, NAME.safetensors")
    results.add_argument("--overwrite", action="store_true", help="replace the results of that name")
    results.add_argument("--fresh", action="store_true", help="begin anew where a checkpoint of that name is there")
    parser.set_defaults(call=train)


def train(args: argparse.Namespace) -> int:
    from cnn_course.commands.train_model import train_model

    return train_model(args)
