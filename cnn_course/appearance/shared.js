// Helpers of every view. Python puts this text before the text of a view, because a module that comes from the kernel
// cannot import its neighbour, and before this text the constant COLOURS, made of colours.py.

// JupyterLab's one-key shortcuts (x cuts a cell!) must not fire while a student works in a view. The element that has the
// focus is asked for this attribute; its parents come too late.
const TAKES_FOCUS = new Set(["button", "canvas", "input", "select"]);

/** Make an element: h("button", {class: "x", onclick: f, "aria-label": "y"}, child, "text", ...). */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  if (TAKES_FOCUS.has(tag)) node.setAttribute("data-lm-suppress-shortcuts", "true");
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** The root of a view; data-view names it for tests. Who cannot see it hears its label, and what it shows and how it is
 *  moved: `alt`, the sentence of the static picture, and `hint`, the line that `hintLine` shows. */
function makeRoot(el, name, label, alt, hint = "") {
  const root = h("div", {
    class: `cnn cnn-${name}`, "data-view": name, "data-pictures": "0",
    role: "group", "aria-label": label, "aria-description": [alt, hint].filter(Boolean).join(" "),
  });
  el.append(root);
  return root;
}

/** The line at the end of a view that says how it is moved. */
function hintLine(hint) {
  return h("p", { class: "cnn-hint" }, hint);
}

/** A canvas that is reached with Tab and moved with keys. The role hands the arrow keys to it, not to a screen reader. */
function movedCanvas(attributes) {
  return h("canvas", { tabindex: "0", role: "application", ...attributes });
}

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** Call act(rows, columns, event) for each arrow key on a node; the page does not scroll. */
function onArrows(node, act) {
  node.addEventListener("keydown", (event) => {
    const by = ARROWS[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act(...by, event);
  });
}

/** Where the pointer is on a node: shares of its width and of its height, however small it is shown. */
function pointedAt(node, event) {
  const box = node.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

/** Count a picture that has been drawn: a stable sign for tests and for nothing else. */
function countPicture(root) {
  root.dataset.pictures = String(Number(root.dataset.pictures) + 1);
}

/** Keep `img` equal to the PNG bytes in a trait; the last picture stays until the next one is decoded. */
function bindPicture(model, root, img, trait) {
  let url = null;
  let [asked, drawn] = [0, 0];
  async function update() {
    asked += 1;
    const mine = asked;
    const bytes = model.get(trait);
    if (!bytes || bytes.byteLength === 0) return;
    const next = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    const probe = new Image();
    probe.src = next;
    await probe.decode().catch(() => {});
    if (mine < drawn) { // a newer one was decoded faster
      URL.revokeObjectURL(next);
      return;
    }
    drawn = mine;
    img.src = next;
    if (url) URL.revokeObjectURL(url);
    url = next;
    countPicture(root);
  }
  const end = follow(model, trait, update);
  return () => {
    end();
    if (url) URL.revokeObjectURL(url);
  };
}

/** Call `update` now and whenever the trait changes; what comes back ends that. */
function follow(model, trait, update) {
  model.on(`change:${trait}`, update);
  update();
  return () => model.off(`change:${trait}`, update);
}

/** Keep a line of text equal to a trait, hidden while it is empty. */
function bindText(model, node, trait) {
  return follow(model, trait, () => {
    node.textContent = model.get(trait) || "";
    node.hidden = !node.textContent;
  });
}

/** PNG bytes as something that a canvas can draw, once they are decoded. */
function decoded(bytes) {
  return createImageBitmap(new Blob([bytes], { type: "image/png" }));
}

/** Tell Python. ipywidgets keeps one message under way and sends only the latest value after it: that is the throttle
 *  which keeps dragging smooth however long a picture takes. */
function send(model, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  model.save_changes();
}

/** Text with `code` between backticks, as nodes. */
function withCode(text) {
  return text.split(/`([^`]+)`/).map((part, i) => (i % 2 ? h("code", {}, part) : part));
}

/** A number as a reader writes it: a true minus sign, and never minus zero. */
function written(value, digits) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
}

/** One of COLOURS, letting through what is below it: alpha 0 is invisible, 1 is opaque. */
function faded(colour, alpha) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

let uniqueIds = 0;
function uniqueId() {
  uniqueIds += 1;
  return `cnn-${uniqueIds}-${Math.random().toString(36).slice(2, 8)}`;
}

/** Give a canvas this size in pixels of the page and empty it, sharp on any screen; returns its context. In a narrow
 *  notebook it is shown smaller, with the same proportions: only the width is said. */
function emptyCanvas(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [width * scale, height * scale];
  canvas.style.width = `${width}px`;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return context;
}

/** Empty a square canvas of `size` pixels plus a margin on all sides; returns its context. */
function emptyGrid(canvas, size, margin) {
  const context = emptyCanvas(canvas, size + 2 * margin, size + 2 * margin);
  context.translate(margin, margin);
  context.textAlign = "center";
  context.textBaseline = "middle";
  return context;
}
