"""Wrong answers to lab 08, with the diagnosis that each must get and the test cells that it must lose."""

import re

from labs import running
from labs.running import WrongAnswer

SOLUTIONS = {
    running.grade_id(cell): re.sub(r" *### (BEGIN|END) SOLUTION\n?", "", cell.source).rstrip()
    for cell in running.master("lab08_refute_the_slide").cells
    if cell.cell_type == "code" and running.grade_id(cell).endswith("-solution")
}


def both(question: int) -> tuple[str, str]:
    return f"q{question}-visible", f"q{question}-hidden"


def hidden(question: int) -> tuple[str]:
    """What a wrong verdict loses: the visible tests look at the numbers only."""
    return (f"q{question}-hidden",)


def slip(question: int, *changes: tuple[str, str]) -> str:
    """The model answer with other words in place of some of its own."""
    source = SOLUTIONS[f"q{question}-solution"]
    for old, new in changes:
        assert source.count(old) == 1, (question, old)
        source = source.replace(old, new)
    return source


def wrong(name: str, question: int, source: str, diagnosis: str, fails: tuple[str, ...]) -> WrongAnswer:
    return WrongAnswer(name, f"q{question}-solution", source, diagnosis, fails)


def same_verdict(question: int, verdict: str) -> str:
    """The model answer's numbers with one verdict for every run."""
    source = SOLUTIONS[f"q{question}-solution"]
    head, last = source.rsplit("return ", 1)
    return f'{head}return {last.split(", ")[0]}, "{verdict}"'


NOT_REFUTED = 'the verdict "refuted" does not follow'
NOT_SURVIVING = 'the verdict "survives" does not follow'

WRONG_ANSWERS = [
    # What every experiment has to return.
    wrong(
        "no verdict", 1, slip(1, (', "survives" if uses.min() == uses.max() else "refuted"', "")), "two things", both(1)
    ),
    wrong(
        "verdict as a bool",
        2,
        slip(2, ('"refuted" if difference > 1e-6 else "survives"', "difference > 1e-6")),
        'must be the text "refuted" or "survives", got',
        both(2),
    ),
    wrong("verdict in other words", 9, same_verdict(9, "true"), "got 'true'", both(9)),
    wrong(
        "verdict without numbers", 4, 'def pool_and_shift(x, k, by):\n    return None, "refuted"', "got None", both(4)
    ),
    wrong(
        "verdict first",
        3,
        slip(3, ("return np.array([before, after]), ", "return "), (' else "refuted"', ' else "refuted", 0')),
        "The numbers come first",
        both(3),
    ),
    # 1
    wrong(
        "frame left on",
        1,
        slip(1, ("    uses = uses[p : p + height, p : p + width]\n", "")),
        "The frame of zeros is still there",
        both(1),
    ),
    wrong(
        "the claim's own count",
        1,
        'def padding_uses(height, width, k):\n    return np.full((height, width), k * k), "survives"',
        "That is what the claim says, not a count",
        both(1),
    ),
    wrong(
        "windows inside the picture only",
        1,
        slip(1, ("range(height)", "range(p, height - p)"), ("range(width)", "range(p, width - p)")),
        "counts without padding",
        both(1),
    ),
    wrong(
        "padding at the top left only",
        1,
        slip(1, ("range(height)", "range(height - p)"), ("range(width)", "range(width - p)")),
        "padded on one side only",
        both(1),
    ),
    wrong("refuted, whatever comes out", 1, same_verdict(1, "refuted"), NOT_REFUTED, hidden(1)),
    # 2
    wrong(
        "second fit left out",
        2,
        slip(2, ("(flat, shuffled)])", "(flat, flat)])")),
        "Both rows hold the weights for the pictures as they are",
        both(2),
    ),
    wrong(
        "pixels put back",
        2,
        slip(2, ("flat[:, order]", "flat[:, np.argsort(order)]")),
        "the pixels are put back",
        both(2),
    ),
    wrong(
        "errors instead of weights",
        2,
        slip(2, ("return w,", "return np.array([np.linalg.norm(flat @ w[0] - y)] * 2),")),
        "These are the errors of the two fits",
        both(2),
    ),
    wrong(
        "rounding refutes",
        2,
        slip(2, ("difference > 1e-6", "not np.array_equal(shuffled @ w[1], flat @ w[0])")),
        NOT_REFUTED,
        hidden(2),
    ),
    wrong(
        "weights compared instead of predictions",
        2,
        slip(2, ("relative_difference(shuffled @ w[1], flat @ w[0])", "relative_difference(w[1], w[0])")),
        NOT_REFUTED,
        hidden(2),
    ),
    # 3
    wrong("strides left out", 3, slip(3, ("i * stride + u", "i + u")), "the strides are left out", both(3)),
    wrong(
        "first layer on top",
        3,
        slip(3, ("reversed(stack)", "stack")),
        "the layers are taken in the wrong order",
        both(3),
    ),
    wrong(
        "twice, as the claim says",
        3,
        slip(3, ("field([*layers, (2, 2)])", "2 * field(layers)")),
        "The second number is what the claim says",
        both(3),
    ),
    wrong("larger is good enough", 3, slip(3, ("after == 2 * before", "after > before")), NOT_SURVIVING, hidden(3)),
    # 4
    wrong(
        "map moved by pixels",
        4,
        slip(4, ("(by // k, -(-by // k))", "(by, by)")),
        "as many places as the picture by pixels",
        both(4),
    ),
    wrong("map not moved", 4, slip(4, ("np.roll(still, place)", "still")), "the map is not moved", both(4)),
    wrong("average pooling", 4, slip(4, ("pooling.max_pool", "pooling.avg_pool")), "the windows are averaged", both(4)),
    wrong("one place below only", 4, slip(4, ("differences.min()", "differences[0]")), NOT_REFUTED, hidden(4)),
    wrong("decided from the shift", 4, slip(4, ("differences.min() <= 1e-6", "by % k == 0")), NOT_REFUTED, hidden(4)),
    # 5
    wrong(
        "not divided by the norm",
        5,
        slip(5, ("    numbers = numbers / np.linalg.norm(a)\n", "")),
        "Divide both numbers by the norm of a",
        both(5),
    ),
    wrong(
        "rows rolled to the left",
        5,
        slip(5, ("np.roll(a[0], i)", "np.roll(a[0], -i)")),
        "the rows move to the left",
        both(5),
    ),
    wrong(
        "compared with the transpose",
        5,
        slip(5, ("a @ shift - shift @ a", "a - a.T")),
        "compares a with its transpose",
        both(5),
    ),
    wrong(
        "any other matrix refutes",
        5,
        slip(5, ("numbers[0] <= 1e-6 < numbers[1]", "numbers[1] > 1e-6")),
        NOT_REFUTED,
        hidden(5),
    ),
    # 6
    wrong(
        "ReLU left out",
        6,
        slip(6, ("    if relu:\n        hidden = np.maximum(hidden, 0)\n", "")),
        "the ReLU is missing",
        both(6),
    ),
    wrong(
        "product of the matrices",
        6,
        slip(6, ("np.linalg.lstsq(pixels, two, rcond=None)[0]", "(w2 @ w1).T")),
        "That is the distance from w2 @ w1",
        both(6),
    ),
    wrong(
        "ReLU at the end",
        6,
        slip(6, ("two = hidden @ w2.T", "two = np.maximum(hidden @ w2.T, 0)")),
        "a ReLU comes after the second",
        both(6),
    ),
    wrong("decided from the switch", 6, slip(6, ("if missed > 1e-6 else", "if relu else")), NOT_SURVIVING, hidden(6)),
    # 7
    wrong(
        "maps not turned",
        7,
        slip(7, ("[np.rot90(m) for m in maps(x)]", "maps(x)")),
        "the maps of the picture are not turned",
        both(7),
    ),
    wrong(
        "kernels turned clockwise",
        7,
        slip(7, ("np.rot90(w, j)", "np.rot90(w, -j)")),
        "the kernels are turned clockwise",
        both(7),
    ),
    wrong(
        "diagonal only",
        7,
        slip(7, ("return table,", "return np.diag(table),")),
        "four numbers of the diagonal",
        both(7),
    ),
    wrong("a zero anywhere will do", 7, slip(7, ("np.diag(table).max()", "table.min()")), NOT_SURVIVING, hidden(7)),
    # 8
    wrong(
        "update before the gradient goes back",
        8,
        slip(
            8,
            ("            dw1, dw2 = x.T @ ((dout @ v2.T) * (before > 0)), h.T @ dout\n", ""),
            ("v1, v2 = v1 - rate * dw1,", "v2 ="),
            (
                " v2 - rate * dw2",
                " v2 - rate * h.T @ dout\n            v1 = v1 - rate * x.T @ ((dout @ v2.T) * (before > 0))",
            ),
        ),
        "w2 is updated before the gradient goes back",
        both(8),
    ),
    wrong(
        "ReLU forgotten on the way back",
        8,
        slip(8, (" * (before > 0)", "")),
        "the ReLU is forgotten on the way back",
        both(8),
    ),
    wrong("mean over the pictures only", 8, slip(8, ("/ y.size", "/ len(y)")), "so divide by y.size", hidden(8)),
    wrong(
        "weights changed in place",
        8,
        slip(8, ("v1, v2 = v1 - rate * dw1, v2 - rate * dw2", "v1 -= rate * dw1\n            v2 -= rate * dw2")),
        "was changed by your function",
        both(8),
    ),
    wrong(
        "only all zeros cannot learn",
        8,
        slip(8, ('"survives" if learned', '"survives" if w1.any() or w2.any()')),
        NOT_SURVIVING,
        hidden(8),
    ),
    # 9
    wrong(
        "halves missing",
        9,
        slip(9, ("(g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2", "g[0] + g[1] + g[2], g[0] - g[1] + g[2]")),
        "the halves are missing",
        both(9),
    ),
    wrong(
        "sign of the third product",
        9,
        slip(9, ("(d2 - d1)", "(d1 - d2)")),
        "The third product has the wrong sign",
        both(9),
    ),
    wrong(
        "outputs instead of products", 9, slip(9, ("return m,", "return outputs.T,")), "These are the outputs", both(9)
    ),
    wrong(
        "exactly equal or refuted",
        9,
        slip(9, ("relative_difference(outputs, direct) > 1e-6", "(outputs != direct).any()")),
        NOT_REFUTED,
        hidden(9),
    ),
    # 10
    wrong(
        "the formula instead of the measurement",
        10,
        slip(10, ("return measured,", "return claimed,")),
        "That is I + dF/dx, what the claim says",
        both(10),
    ),
    wrong("rows are inputs", 10, slip(10, (", axis=1)", ")")), "The matrix is transposed", both(10)),
    wrong("skip left out", 10, slip(10, ("out = x + w2", "out = w2")), "the skip connection is missing", both(10)),
    wrong(
        "last ReLU inside the sum",
        10,
        slip(10, ("np.maximum(out, 0) if relu_after else out", "x + np.maximum(out - x, 0) if relu_after else out")),
        "acts on F(x) only",
        both(10),
    ),
    wrong(
        "a last ReLU refutes, whatever it does",
        10,
        slip(10, ("relative_difference(measured, claimed) > 1e-4", "relu_after")),
        NOT_REFUTED,
        hidden(10),
    ),
    wrong(
        "pool appended to the list that was given",
        3,
        slip(3, ("[*layers, (2, 2)]", "layers.append((2, 2)) or layers")),
        "argument 1 was changed",
        both(3),
    ),
    wrong(
        "only the first entry of the diagonal",
        7,
        slip(7, ("np.diag(table).max()", "table[0, 0]")),
        NOT_SURVIVING,
        hidden(7),
    ),
]
