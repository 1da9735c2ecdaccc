"""Wrong answers to lab 07, with the diagnosis that each must get and the test cells that it must lose."""

from labs.running import WrongAnswer

Q1 = ("q1-visible", "q1-hidden")
Q2 = ("q2-shapes", "q2-values", "q2-hidden")
Q3 = ("q3-shapes", "q3-values", "q3-hidden")
Q4 = ("q4-visible", "q4-hidden")
Q5 = ("q5-parameters", "q5-logits", "q5-gradients", "q5-hidden")
Q6 = ("q6-visible", "q6-hidden")

# Correct answers, of which each wrong one replaces a part.
STAGE = """
def vgg_stage(count, c_in, c_out):
    layers = []
    for i in range(count):
        layers += [nn.Conv2d(c_in if i == 0 else c_out, c_out, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2))
"""
INCEPTION = """
def inception(c_in, one, reduce3, three, reduce5, five, pool):
    class Branches(nn.Module):
        def forward(self, x):
            return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)

    net = Branches()
    net.one = nn.Sequential(nn.Conv2d(c_in, one, 1), nn.ReLU())
    net.three = nn.Sequential(
        nn.Conv2d(c_in, reduce3, 1), nn.ReLU(), nn.Conv2d(reduce3, three, 3, padding=1), nn.ReLU())
    net.five = nn.Sequential(
        nn.Conv2d(c_in, reduce5, 1), nn.ReLU(), nn.Conv2d(reduce5, five, 5, padding=2), nn.ReLU())
    net.pool = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), nn.Conv2d(c_in, pool, 1), nn.ReLU())
    return net
"""
BASIC = """
def basic_block(c_in, channels, stride=1):
    class Block(nn.Module):
        def forward(self, x):
            out = torch.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            return torch.relu(out + self.shortcut(x))

    net = Block()
    net.conv1 = nn.Conv2d(c_in, channels, 3, stride, padding=1, bias=False)
    net.bn1 = nn.BatchNorm2d(channels)
    net.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    net.bn2 = nn.BatchNorm2d(channels)
    net.shortcut = nn.Identity()
    if stride > 1 or c_in != channels:
        net.shortcut = nn.Sequential(nn.Conv2d(c_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
    return net
"""
BOTTLENECK = """
def bottleneck(c_in, width, stride=1):
    class Block(nn.Module):
        def forward(self, x):
            return torch.relu(self.branch(x) + self.shortcut(x))

    net, c_out = Block(), 4 * width
    net.branch = nn.Sequential(
        nn.Conv2d(c_in, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, c_out, 1, bias=False), nn.BatchNorm2d(c_out))
    net.shortcut = nn.Identity()
    if stride > 1 or c_in != c_out:
        net.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
    return net
"""
RESNET = """
def cifar_resnet(depth=20, width=16, classes=10):
    n = (depth - 2) // 6
    layers = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    layers += [CourseBlock(width, width) for _ in range(n)]
    layers += [CourseBlock(width, 2 * width, 2, CourseShortcut())]
    layers += [CourseBlock(2 * width, 2 * width) for _ in range(n - 1)]
    layers += [CourseBlock(2 * width, 4 * width, 2, CourseShortcut())]
    layers += [CourseBlock(4 * width, 4 * width) for _ in range(n - 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes))
"""
NORMS = """
def gradient_norms(weights, depth, residual, images, labels):
    net = network_from(weights, depth, residual)
    F.cross_entropy(net(torch.tensor(images)), torch.tensor(labels)).backward()
    return torch.stack([p.grad.norm() / p.detach().norm() for p in net.parameters() if p.ndim == 4])
"""


def but(source: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    return source.strip()


WRONG_ANSWERS = [
    WrongAnswer("stage without padding", "q1-solution", but(STAGE, (", padding=1", "")), "are not padded", Q1),
    WrongAnswer("stage without pool", "q1-solution", but(STAGE, (", nn.MaxPool2d(2)", "")), "the pool is missing", Q1),
    WrongAnswer(
        "ReLU only at the end of the stage",
        "q1-solution",
        but(STAGE, (", nn.ReLU()]", "]"), ("nn.MaxPool", "nn.ReLU(), nn.MaxPool")),
        "only the last convolution has a ReLU",
        Q1,
    ),
    WrongAnswer(
        "stage changes channels last",
        "q1-solution",
        but(STAGE, ("c_in if i == 0 else c_out, c_out", "c_in, c_out if i == count - 1 else c_in")),
        "The first convolution changes the channels",
        Q1,
    ),
    WrongAnswer(
        "pool after each convolution",
        "q1-solution",
        but(STAGE, ("nn.ReLU()]", "nn.ReLU(), nn.MaxPool2d(2)]"), ("*layers, nn.MaxPool2d(2)", "*layers")),
        "a pool after each convolution",
        Q1,
    ),
    WrongAnswer(
        "branches added",
        "q2-solution",
        but(
            INCEPTION,
            (
                "torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)",
                "sum(F.pad(b(x), (0, 0, 0, 0, 0, 9 - b(x).shape[1])) for b in self.children())",
            ),
        ),
        "axis 1 has 9 entries instead of 7",
        Q2,
    ),
    WrongAnswer(
        "large kernel of 3 x 3",
        "q2-solution",
        but(INCEPTION, ("five, 5, padding=2", "five, 3, padding=1")),
        "the slip of torchvision's network",
        Q2,
    ),
    WrongAnswer(
        "branches stacked in another order",
        "q2-solution",
        but(
            INCEPTION,
            (
                "[self.one(x), self.three(x), self.five(x), self.pool(x)]",
                "[self.pool(x), self.one(x), self.three(x), self.five(x)]",
            ),
        ),
        "stacked in another order",
        Q2,
    ),
    WrongAnswer(
        "no ReLU behind the squeeze",
        "q2-solution",
        but(INCEPTION, ("reduce3, 1), nn.ReLU()", "reduce3, 1)"), ("reduce5, 1), nn.ReLU()", "reduce5, 1)")),
        "the squeezing convolutions have no ReLU",
        Q2,
    ),
    WrongAnswer(
        "pool shrinks its branch",
        "q2-solution",
        but(INCEPTION, ("nn.MaxPool2d(3, stride=1, padding=1)", "nn.MaxPool2d(3)")),
        "stopped with RuntimeError",
        Q2,
    ),
    WrongAnswer(
        "average pool in the block", "q2-solution", but(INCEPTION, ("MaxPool", "AvgPool")), "the pool averages", Q2[1:]
    ),
    WrongAnswer(
        "nothing added", "q3-solution", but(BASIC, ("out + self.shortcut(x)", "out")), "nothing is added", Q3[1:]
    ),
    WrongAnswer(
        "ReLU before the addition",
        "q3-solution",
        but(BASIC, ("torch.relu(out + self.shortcut(x))", "torch.relu(out) + self.shortcut(x)")),
        "the last ReLU stands in front of the addition",
        Q3[1:],
    ),
    WrongAnswer(
        "no ReLU after the addition",
        "q3-solution",
        but(BASIC, ("torch.relu(out + self.shortcut(x))", "out + self.shortcut(x)")),
        "the ReLU after the addition is missing",
        Q3[1:],
    ),
    WrongAnswer(
        "always a projection",
        "q3-solution",
        but(BASIC, ("if stride > 1 or c_in != channels", "if True")),
        "x has the right shape here: add x itself",
        Q3,
    ),
    WrongAnswer(
        "projection only for a stride",
        "q3-solution",
        but(BASIC, ("stride > 1 or c_in != channels", "stride > 1")),
        "There is no projection",
        Q3[::2],
    ),
    WrongAnswer(
        "layers of the block in another order",
        "q3-solution",
        but(
            BASIC,
            ("    net.bn1 = nn.BatchNorm2d(channels)\n", ""),
            ("    net.bn2", "    net.bn1 = nn.BatchNorm2d(channels)\n    net.bn2"),
        ),
        "but in another order",
        Q3,
    ),
    WrongAnswer("biases in front of norms", "q3-solution", but(BASIC, (", bias=False", "")), "needs no bias", Q3),
    WrongAnswer(
        "second convolution has the stride",
        "q3-solution",
        but(
            BASIC,
            ("c_in, channels, 3, stride,", "c_in, channels, 3,"),
            ("channels, channels, 3,", "channels, channels, 3, stride,"),
        ),
        "the second convolution has the stride",
        Q3[1:],
    ),
    WrongAnswer(
        "stride in the first 1 x 1",
        "q4-solution",
        but(BOTTLENECK, ("(c_in, width, 1,", "(c_in, width, 1, stride,"), ("width, 3, stride,", "width, 3,")),
        "skips three pixels of four",
        Q4,
    ),
    WrongAnswer(
        "not expanded", "q4-solution", but(BOTTLENECK, ("4 * width", "width")), "it gives four times as many", Q4
    ),
    WrongAnswer(
        "second ReLU missing",
        "q4-solution",
        but(
            BOTTLENECK,
            (
                "padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()",
                "padding=1, bias=False), nn.BatchNorm2d(width)",
            ),
        ),
        "the second ReLU is missing",
        Q4,
    ),
    WrongAnswer(
        "shortcut forgotten in the bottleneck",
        "q4-solution",
        but(BOTTLENECK, (" + self.shortcut(x)", "")),
        "nothing is added",
        Q4,
    ),
    WrongAnswer(
        "one block too few",
        "q5-solution",
        but(RESNET, ("(depth - 2) // 6", "max(1, (depth - 8) // 6)")),
        "one block too few in each stage",
        ("q5-parameters", "q5-logits", "q5-hidden"),
    ),
    WrongAnswer(
        "plain network",
        "q5-solution",
        but(
            RESNET,
            ("CourseShortcut())", "None, False)"),
            ("(width, width)", "(width, width, residual=False)"),
            ("2 * width, 2 * width)", "2 * width, 2 * width, residual=False)"),
            ("4 * width, 4 * width)", "4 * width, 4 * width, residual=False)"),
        ),
        "logits of the plain network",
        Q5[1:],
    ),
    WrongAnswer(
        "first ReLU missing",
        "q5-solution",
        but(RESNET, (", nn.ReLU()]", "]")),
        "the ReLU behind the first batch norm is missing",
        Q5[1:],
    ),
    WrongAnswer("bias in the first convolution", "q5-solution", but(RESNET, (", bias=False", "")), "needs no bias", Q5),
    WrongAnswer(
        "global maximum",
        "q5-solution",
        but(RESNET, ("AdaptiveAvg", "AdaptiveMax")),
        "The global pool takes the maximum",
        Q5[1:],
    ),
    WrongAnswer(
        "not divided by the weights",
        "q6-solution",
        but(NORMS, (" / p.detach().norm()", "")),
        "divide each by the norm of its weights",
        Q6,
    ),
    WrongAnswer("all parameters", "q6-solution", but(NORMS, (" if p.ndim == 4", "")), "These are all parameters", Q6),
    WrongAnswer(
        "the last layer, too",
        "q6-solution",
        but(NORMS, ("p.ndim == 4", "p.ndim > 1")),
        "The fully connected layer is among them",
        Q6,
    ),
    WrongAnswer(
        "evaluation mode",
        "q6-solution",
        but(NORMS, ("residual)\n", "residual).eval()\n")),
        "in evaluation mode",
        Q6,
    ),
    WrongAnswer(
        "squared norms",
        "q6-solution",
        but(NORMS, ("p.grad.norm() / p.detach().norm()", "(p.grad**2).sum() / (p.detach()**2).sum()")),
        "squares of the quotients",
        Q6,
    ),
    WrongAnswer(
        "pool with zeros around",
        "q2-solution",
        but(INCEPTION, ("nn.MaxPool2d(3, stride=1, padding=1)", "nn.ZeroPad2d(1), nn.MaxPool2d(3, stride=1)")),
        "the pool sees zeros around the picture",
        Q2[1:],
    ),
    WrongAnswer(
        "cut off from the gradient",
        "q2-solution",
        but(INCEPTION, ("dim=1)", "dim=1).detach()")),
        "no gradient reaches parameter",
        Q2,
    ),
    WrongAnswer(
        "added to x itself",
        "q3-solution",
        but(
            BASIC,
            (
                "return torch.relu(out + self.shortcut(x))",
                "y = self.shortcut(x)\n            y += out\n            return torch.relu(y)",
            ),
        ),
        "argument 1 was changed",
        Q3[1:],
    ),
    WrongAnswer(
        "half a window at the end",
        "q1-solution",
        but(STAGE, ("nn.MaxPool2d(2)", "nn.MaxPool2d(2, ceil_mode=True)")),
        "(ceil_mode)",
        Q1[1:],
    ),
]
