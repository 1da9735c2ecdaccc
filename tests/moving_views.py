"""How each interactive view is moved in the browser, and what counts as moving: the picture changes, and how fast."""

import statistics


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
