"""How each interactive view is made and moved in the browser, and what counts as moving: the picture changes."""

import statistics
import textwrap

from nbformat.v4 import new_code_cell, new_notebook

SOURCES = {
    "explore": """
        import numpy as np
        from cnn_course.widgets import explore
        def draw(ax, k):
            ax.plot(np.sin(k * np.linspace(0, 6, 200)))
        explore(draw, k=(1, 5))""",
    "stepping-window": """
        from cnn_course.widgets import stepping_window
        stepping_window([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[0, 1, 0], [1, -4, 1], [0, 1, 0]], padding=1)""",
    "large-stepping-window": """
        import numpy as np
        from cnn_course.widgets import stepping_window
        stepping_window(np.sin(np.arange(81)).reshape(9, 9), [[0.1, 0, -0.1]] * 3, padding=1, title="81 places")""",
    "backward-stepper": """
        from cnn_course.widgets import backward_stepper
        backward_stepper([[7, 5, 4, 2]] * 4, [[1, 0, 0], [2, -1, 2], [1, -2, -1]], [[2, 0], [-2, 1]], step=3)""",
    "kernel-designer": """
        from cnn_course.widgets import kernel_designer
        kernel_designer()""",
    "object-mover": """
        import numpy as np
        from cnn_course.widgets import object_mover
        image = np.zeros((1, 28, 28))
        image[:, 9:19, 11:17] = 1
        def predict(x):
            left = x[..., :14].sum((1, 2, 3)) / x.sum((1, 2, 3))
            return np.stack([left, 1 - left], axis=1)
        object_mover(image, {"left or right": predict}, ["left", "right"], true_class="left")""",
    "draw-digit": """
        import numpy as np
        from cnn_course.widgets import draw_digit
        examples = np.zeros((2, 28, 28), np.uint8)
        examples[0, 4:24, 13:15] = examples[1, 13:15, 4:24] = 255
        def across(image):
            ink = [float(image[0, 0].any(axis=axis).sum()) for axis in (0, 1)]
            p = (1 + ink[0]) / (2 + sum(ink))
            halves = np.repeat(image[0, :, ::2, ::2] / 255, 4, axis=0)
            return {"halves": halves, "size": np.array(ink)}, np.array([1 - p, p])
        draw_digit({"tall or wide": across}, examples, classes=["tall", "wide"])""",
    "shape-playground": """
        from cnn_course.widgets import shape_playground
        shape_playground()""",
    "kernel-matrix": """
        from cnn_course.widgets import kernel_matrix
        kernel_matrix()""",
    "unit-browser": """
        import torch
        from cnn_course import synthetic
        from cnn_course.models.shift_cnn import shift_cnn
        from cnn_course.widgets import unit_browser
        torch.manual_seed(0)
        net = shift_cnn(head="global", channels=3, size=32)
        unit_browser(net, ["conv1", "conv3", "logits"], synthetic.shapes(40, 0).images, steps=8, start=("conv3", 0))""",
    "stack-builder": """
        from cnn_course.widgets import stack_builder
        stack_builder()""",
    "training-monitor": """
        import time
        from torch import nn
        from cnn_course import datasets, train, widgets
        data, net = datasets.load("digits"), nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        config = train.TrainConfig(epochs=6, device="cpu")
        with widgets.training_monitor(epochs=6) as monitor:
            def slowly(epoch):
                monitor(epoch)
                time.sleep(0.5)
            train.fit(net, data.train, config, val=data.val, verbose=False, on_epoch=slowly)""",
    "quiz": """
        from IPython.display import display
        from cnn_course import quiz
        display(quiz.choice("q", ["one", "two"], "two", ["too few", "as many as eyes"]))
        quiz.number("How many?", 2408448, "a product", mistakes={75: "that is the other network"})""",
    "unknown-kind": """
        from cnn_course import quiz
        quiz.KINDS["guess"] = quiz.KINDS["number"]  # Python has learnt a kind of question that quiz.js has not
        quiz.Quiz(data={"kind": "guess", "question": "q", "shown": "1", "why": "w"})""",
    "failing": """
        from cnn_course.widgets import explore
        def draw(ax, k):
            ax.plot([1, 3 / (2 - k)])
        explore(draw, k=(1, 3))""",
}


# Otherwise JupyterLab takes a cell off the page that is scrolled out of sight.
ALL_ON_THE_PAGE = (
    "{ const { content } = jupyterapp.shell.currentWidget;"
    " content.notebookConfig = { ...content.notebookConfig, windowingMode: 'none' }; }"
)


def notebook_of(names):
    """A notebook with a cell for each of these views."""
    cells = [new_code_cell(textwrap.dedent(SOURCES[name]).strip()) for name in names]
    metadata = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    return new_notebook(cells=cells, metadata=metadata)


def move_explore(page, root, n):
    control = root.locator("[data-control]").first
    if control.evaluate("c => c.tagName") == "SELECT":
        options = control.locator("option").count()
        control.select_option(index=(control.evaluate("c => c.selectedIndex") + 1) % options)
    elif control.get_attribute("type") == "checkbox":
        control.click()
    else:
        at_end = control.evaluate("c => c.value === c.max")
        forward = n % 2 == 0 and not at_end
        control.press("ArrowRight" if forward else "ArrowLeft")


def move_stepping_window(page, root, n):
    step = root.locator("[data-control=step]")
    (step if step.is_enabled() else root.get_by_role("button", name="Back to the first step")).click()


def move_kernel_designer(page, root, n):
    root.locator("[data-control=cell-4]").fill(str(n + 0.5))


def move_kernel_matrix(page, root, n):
    root.locator("[data-control=tap-1]").press("ArrowUp")


def move_object(page, root, n):
    box = root.locator("canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    by = 30 if n % 2 == 0 else -30
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by, y + by)
    page.mouse.up()


def move_shape_playground(page, root, n):
    root.locator("[data-control=size]").press("ArrowRight" if n % 2 == 0 else "ArrowLeft")


def move_training_monitor(page, root, n):
    root.locator("[data-control=log]").click()


def move_stack_builder(page, root, n):
    root.locator(f"[data-control={'add' if n % 2 == 0 else 'remove'}]").click()


def move_unit_browser(page, root, n):
    root.locator("[data-control=units]").press("ArrowRight" if n % 2 == 0 else "ArrowLeft")


def draw_stroke(page, root, points):
    """With the mouse; points are shares of the canvas."""
    canvas = root.locator("[data-control=canvas]")
    canvas.scroll_into_view_if_needed()  # the view may be taller than the window
    box = canvas.bounding_box()
    for i, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8 if i else 1)
        if i == 0:
            page.mouse.down()
    page.mouse.up()


def move_draw_digit(page, root, n):
    draw_stroke(page, root, [(0.2 + 0.08 * n, 0.2), (0.7 - 0.05 * n, 0.8)])


# The root of every view carries data-view; this is how each one is moved, and which part is its picture.
VIEWS = {
    "explore": (move_explore, ".cnn-picture img"),
    "stepping-window": (move_stepping_window, ".cnn-panels >> nth=0"),
    "kernel-designer": (move_kernel_designer, ".cnn-picture img >> nth=1"),
    "object-mover": (move_object, "canvas"),
    "stack-builder": (move_stack_builder, "canvas"),
    "kernel-matrix": (move_kernel_matrix, "canvas"),
    "shape-playground": (move_shape_playground, ".cnn-panels"),
    "draw-digit": (move_draw_digit, ".cnn-draw-stages"),
    "training-monitor": (move_training_monitor, "canvas >> nth=0"),
    "unit-browser": (move_unit_browser, ".cnn-panels"),
}

# From the first event that reaches the view to the next picture that it counts, in milliseconds.
ARM = """root => { window.cnnLatency = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('no new picture within 30 s')), 30000);
    let start = null;
    const begin = () => { start ??= performance.now(); };
    for (const name of ['input', 'change', 'click', 'pointermove', 'keydown']) root.addEventListener(name, begin, true);
    const observer = new MutationObserver(() => {
        if (start !== null) { observer.disconnect(); resolve(performance.now() - start); }
    });
    observer.observe(root, { attributes: true, attributeFilter: ['data-pictures'] });
}); }"""


def move(page, root, n):
    """One move; returns (the pixels before, the pixels after, milliseconds)."""
    act, picture = VIEWS[root.get_attribute("data-view")]
    root.scroll_into_view_if_needed()
    before = root.locator(picture).screenshot()
    root.evaluate(ARM)
    act(page, root, n)
    latency = page.evaluate("window.cnnLatency")
    return before, root.locator(picture).screenshot(), latency


def check_view(page, root, record_property, moves=7):
    name = root.get_attribute("data-view")
    latencies = []
    for n in range(moves):
        before, after, latency = move(page, root, n)
        assert before != after, f"{name}: move {n} changed nothing in the picture"
        latencies.append(latency)
    median = statistics.median(latencies)
    record_property(f"latency of {name} (ms)", round(median))
    print(f"{name}: control to picture, median of {moves}: {median:.0f} ms")
