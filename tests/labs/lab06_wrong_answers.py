"""Wrong answers to lab 06, with the diagnosis that each must get and the test cells that it must lose."""

from labs.running import WrongAnswer

Q1 = ("q1-parameters", "q1-logits", "q1-hidden")
Q2 = ("q2-step", "q2-steps", "q2-hidden")
Q3 = ("q3-by-hand", "q3-dropout", "q3-hidden")
Q4 = ("q4-visible", "q4-hidden")
Q5 = ("q5-visible", "q5-hidden")
Q6 = ("q6-seed", "q6-accuracy", "q6-hidden")

# Correct answers, of which each wrong one replaces a part.
LENET = """
def build_lenet(classes=10, channels=1, size=28):
    side = (size // 2 - 4) // 2
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * side * side, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, classes),
    )
"""
ANOTHER_ORDER = """
def build_lenet(classes=10, channels=1, size=28):
    class Net(nn.Module):
        pass

    side = (size // 2 - 4) // 2
    net = Net()
    net.c1, net.c3 = nn.Conv2d(channels, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
    net.output, net.f6, net.c5 = nn.Linear(84, classes), nn.Linear(120, 84), nn.Linear(16 * side * side, 120)
    return net
"""
STEPS = """
def sgd_steps(weights, images, labels, lr, steps=1):
    net = lenet_from(weights)
    x, y = torch.tensor(images) / 255, torch.tensor(labels)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
    return net
"""
EVALUATE = """
def evaluate(weights, images, labels, batch_size=64):
    net = lenet_from(weights, dropout=0.5)
    net.eval()
    loss, right = 0.0, 0
    for i in range(0, len(images), batch_size):
        logits = net(torch.tensor(images[i : i + batch_size]) / 255)
        y = torch.tensor(labels[i : i + batch_size])
        loss += F.cross_entropy(logits, y, reduction="sum").item()
        right += (logits.argmax(dim=1) == y).sum().item()
    return np.array([loss, right]) / len(images)
"""
BATCH_MEANS = """
def evaluate(weights, images, labels, batch_size=64):
    net = lenet_from(weights, dropout=0.5)
    net.eval()
    losses, rights = [], []
    for i in range(0, len(images), batch_size):
        logits = net(torch.tensor(images[i : i + batch_size]) / 255)
        y = torch.tensor(labels[i : i + batch_size])
        losses.append(F.cross_entropy(logits, y).item())
        rights.append((logits.argmax(dim=1) == y).float().mean().item())
    return np.array([np.mean(losses), np.mean(rights)])
"""
SHIFT = """
def shift_each(images, down, right):
    p = int(torch.cat([down, right]).abs().max())
    height, width = images.shape[2:]
    padded = F.pad(images, (p, p, p, p))
    moved = torch.zeros_like(images)
    for n in range(len(images)):
        i, j = p - int(down[n]), p - int(right[n])
        moved[n] = padded[n, :, i : i + height, j : j + width]
    return moved
"""
ROLLED = """
def shift_each(images, down, right):
    moved = [torch.roll(x, (int(d), int(r)), dims=(1, 2)) for x, d, r in zip(images, down, right)]
    return torch.stack(moved)
"""
IN_PLACE = """
def shift_each(images, down, right):
    for n in range(len(images)):
        images[n] = torch.roll(images[n], (int(down[n]), int(right[n])), dims=(1, 2))
    return images
"""
DRAW = """
def draw_shifts(n, most, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-most, most + 1, (n, 2), generator=generator)
"""
TRAIN = """
def train_lenet(images, labels, epochs=6, batch_size=20, lr=0.005, seed=0):
    torch.manual_seed(seed)
    net = course_lenet(size=16)
    x, y = torch.tensor(images) / 255, torch.tensor(labels)
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(batch_size):
            loss = F.cross_entropy(net(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net
"""


def but(source: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    return source.strip()


WRONG_ANSWERS = [
    WrongAnswer(
        "c1 not padded",
        "q1-solution",
        but(LENET, (", padding=2", ""), ("size // 2 - 4", "(size - 4) // 2 - 4")),
        "c1 does not pad",
        Q1,
    ),
    WrongAnswer(
        "inputs of c5 typed in", "q1-solution", but(LENET, ("16 * side * side", "400")), "typed in for 28 x 28", Q1[2:]
    ),
    WrongAnswer("layers in another order", "q1-solution", but(ANOTHER_ORDER), "but in another order", Q1),
    WrongAnswer(
        "no activation after f6",
        "q1-solution",
        but(LENET, ("84), nn.ReLU()", "84)")),
        "the ReLU after f6 is missing",
        Q1[1:],
    ),
    WrongAnswer(
        "probabilities instead of logits",
        "q1-solution",
        but(LENET, ("classes),", "classes), nn.Softmax(dim=1),")),
        "leave the softmax out",
        Q1[1:],
    ),
    WrongAnswer(
        "the course's own network",
        "q1-solution",
        "def build_lenet(classes=10, channels=1, size=28):\n    return course_lenet(classes, channels, size=size)",
        "do not allow cnn_course.models.lenet.lenet",
        Q1,
    ),
    WrongAnswer(
        "gradients add up",
        "q2-solution",
        but(STEPS, ("        optimizer.zero_grad()\n", "")),
        "holds the gradients of the steps before",
        Q2[1:],
    ),
    WrongAnswer("pixels to 255", "q2-solution", but(STEPS, (" / 255", ".float()")), "divide them by 255", Q2),
    WrongAnswer("loss summed", "q2-solution", but(STEPS, ("(x), y)", "(x), y, reduction='sum')")), "take the mean", Q2),
    WrongAnswer(
        "softmax before the loss",
        "q2-solution",
        but(STEPS, ("net(x)", "net(x).softmax(dim=1)")),
        "a softmax stands before cross_entropy",
        Q2,
    ),
    WrongAnswer(
        "dropout left on", "q3-solution", but(EVALUATE, ("    net.eval()\n", "")), "Dropout is still on", Q3[1:]
    ),
    WrongAnswer("batch means averaged", "q3-solution", but(BATCH_MEANS), "the batch means are averaged", Q3),
    WrongAnswer(
        "last batch dropped",
        "q3-solution",
        but(
            EVALUATE,
            ("len(images), batch_size)", "len(images) - batch_size + 1, batch_size)"),
            ("[loss, right]) / len(images)", "[loss, right]) / max(1, len(images) // batch_size * batch_size)"),
        ),
        "the last, smaller batch is dropped",
        Q3,
    ),
    WrongAnswer("what leaves comes back", "q4-solution", but(ROLLED), "comes back on the other", Q4),
    WrongAnswer(
        "one shift for the batch",
        "q4-solution",
        but(SHIFT, ("down[n]", "down[0]"), ("right[n]", "right[0]")),
        "as its first picture should",
        Q4,
    ),
    WrongAnswer(
        "bytes become floats",
        "q4-solution",
        but(SHIFT, ("torch.zeros_like(images)", "torch.zeros(images.shape)")),
        "the pictures are uint8 and should stay so",
        Q4[1:],
    ),
    WrongAnswer("the batch itself is moved", "q4-solution", but(IN_PLACE), "argument 1 was changed", Q4),
    WrongAnswer(
        "one draw for the batch",
        "q5-solution",
        but(DRAW, ("(n, 2), generator=generator)", "(1, 2), generator=generator).expand(n, 2)")),
        "all 50 pictures get the same shift",
        Q5,
    ),
    WrongAnswer(
        "upper end never drawn",
        "q5-solution",
        but(DRAW, ("most + 1", "most + (most == 0)")),
        "The upper end of torch.randint is not drawn",
        Q5,
    ),
    WrongAnswer(
        "ends too rare",
        "q5-solution",
        but(
            DRAW,
            (
                "torch.randint(-most, most + 1, (n, 2), generator=generator)",
                "((2 * torch.rand(n, 2, generator=generator) - 1) * most).round().long()",
            ),
        ),
        "should all be about equally often",
        Q5,
    ),
    WrongAnswer(
        "seed ignored",
        "q5-solution",
        but(DRAW, (".manual_seed(seed)", ".manual_seed(0)")),
        "another seed gave the same draws",
        Q5[1:],
    ),
    WrongAnswer(
        "never shuffled", "q6-solution", but(TRAIN, ("torch.randperm", "torch.arange")), "were sorted by class", Q6[2:]
    ),
    WrongAnswer(
        "labels shuffled on their own",
        "q6-solution",
        but(TRAIN, ("y[batch]", "y[torch.randperm(len(y))[: len(batch)]]")),
        "6 images were not learned",
        Q6,
    ),
    WrongAnswer(
        "last batch left out",
        "q6-solution",
        but(
            TRAIN,
            (
                "            loss = F",
                "            if len(batch) < batch_size:\n                continue\n            loss = F",
            ),
        ),
        "the last batch of an epoch may be smaller",
        Q6[:1],
    ),
    WrongAnswer(
        "no seed",
        "q6-solution",
        but(TRAIN, ("    torch.manual_seed(seed)\n", "")),
        "two calls with the same seed gave two networks",
        Q6[:1],
    ),
    WrongAnswer(
        "another network returned",
        "q6-solution",
        but(TRAIN, ("return net", "return course_lenet(size=16)")),
        "Is the network that you return the one that was trained?",
        Q6,
    ),
    WrongAnswer(
        "at least one step",
        "q2-solution",
        but(STEPS, ("range(steps)", "range(max(1, steps))")),
        "with 0 steps nothing moves",
        Q2[2:],
    ),
    WrongAnswer(
        "one order for all epochs",
        "q6-solution",
        but(
            TRAIN,
            ("    for _ in range(epochs):", "    order = torch.randperm(len(x))\n    for _ in range(epochs):"),
            ("torch.randperm(len(x)).split", "order.split"),
        ),
        "in the same order in every epoch",
        Q6[2:],
    ),
]
