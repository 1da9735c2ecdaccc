// The windows of one layer on its padded input, and the output. Python computes every number; the browser draws
// them, and moves the marked window.

const BOX = 300; // pixels to a side of a grid

function control(spec, value, onChange) {
  const id = uniqueId();
  const label = h("label", { for: id }, spec.name);
  if (spec.options) {
    const select = h("select", { id, "data-control": spec.name },
      ...spec.options.map((option, i) => h("option", { value: i }, String(option))));
    select.addEventListener("change", () => onChange(spec.options[select.selectedIndex]));
    select.selectedIndex = spec.options.indexOf(value);
    return { nodes: [label, select], set: (v) => { select.selectedIndex = spec.options.indexOf(v); } };
  }
  const shown = h("output", { for: id, "aria-live": "off" });
  const slider = h("input", { type: "range", id, "data-control": spec.name, min: spec.low, max: spec.high, step: 1 });
  const set = (v) => { slider.value = v; shown.textContent = String(v); };
  slider.addEventListener("input", () => { shown.textContent = slider.value; onChange(Number(slider.value)); });
  set(value);
  return { nodes: [label, h("span", { class: "cnn-slider" }, slider, shown)], set, slider };
}

/** Draw a grid of side x side cells; paint(context, left, top, row, column) fills one. */
function drawGrid(canvas, side, cell, paint) {
  const context = emptyGrid(canvas, cell * side, 1);
  context.font = `${Math.min(13, cell * 0.5)}px system-ui, sans-serif`;
  for (let r = 0; r < side; r += 1) for (let c = 0; c < side; c += 1) paint(context, c * cell, r * cell, r, c);
}

function render({ model, el }) {
  const hint = "Move over the output, or use the arrow keys there: the window of that cell is marked. A crossed pixel is never used.";
  const root = makeRoot(el, "shape-playground", "Shape playground", model.get("alt"), hint);
  const grid = h("div", { class: "cnn-controls cnn-pairs" });
  const controls = {};
  for (const spec of model.get("controls")) {
    controls[spec.name] = control(spec, model.get("values")[spec.name], (value) => {
      send(model, { values: { ...model.get("values"), [spec.name]: value } });
    });
    grid.append(...controls[spec.name].nodes);
  }
  const error = h("p", { class: "cnn-error", role: "alert" });
  const names = [h("h4"), h("h4")];
  const input = h("canvas", { role: "img" });
  const output = movedCanvas({ "data-control": "window", style: "cursor: pointer" });
  const panels = h("div", { class: "cnn-panels" }, ...[input, output].map((canvas, i) => (
    h("div", {}, names[i], h("div", { class: "cnn-picture" }, canvas)))));
  const lines = h("div", {
    class: "cnn-summary", role: "status",
    style: "display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 3px 14px; margin-top: 10px",
  });
  let at = null; // the output cell whose window is marked
  let cell = 0; // its size in pixels, the same in both grids

  function draw() {
    const { layer, uses, lines: text } = model.get("result");
    const { size, kernel, stride, dilation, before, out } = layer;
    at = (at || [out >> 1, out >> 1]).map((i) => Math.min(i, out - 1));
    cell = Math.min(34, Math.max(3, Math.floor(BOX / Math.max(uses.length, out))));
    const most = Math.max(...uses) ** 2;
    const tap = (i, start) => i >= start && i <= start + dilation * (kernel - 1) && (i - start) % dilation === 0;
    const inside = (i) => i >= before && i < before + size;
    drawGrid(input, uses.length, cell, (context, x, y, r, c) => {
      const count = uses[r] * uses[c];
      const real = inside(r) && inside(c);
      const marked = tap(r, at[0] * stride) && tap(c, at[1] * stride);
      context.fillStyle = real ? faded(COLOURS.BLUE, (0.5 * count) / most) : COLOURS.CELL_MUTED;
      if (marked) context.fillStyle = real ? COLOURS.WINDOW_OUTPUT : COLOURS.WINDOW_PADDING;
      context.fillRect(x, y, cell, cell);
      context.strokeStyle = marked ? COLOURS.WINDOW_LINE : COLOURS.CELL_LINE;
      context.lineWidth = marked ? 1.5 : 0.6;
      if (cell > 5 || marked) context.strokeRect(x + 0.5, y + 0.5, cell - 1, cell - 1);
      if (real && !count) { // never looked at: crossed out
        context.beginPath();
        context.moveTo(x + cell * 0.2, y + cell * 0.2);
        context.lineTo(x + cell * 0.8, y + cell * 0.8);
        context.moveTo(x + cell * 0.8, y + cell * 0.2);
        context.lineTo(x + cell * 0.2, y + cell * 0.8);
        context.strokeStyle = COLOURS.UNUSED;
        context.stroke();
      } else if (cell >= 15) {
        context.fillStyle = real || marked ? COLOURS.INK : COLOURS.INK_PADDING;
        context.fillText(String(count), x + cell / 2, y + cell / 2 + 1);
      }
    });
    drawGrid(output, out, cell, (context, x, y, r, c) => {
      const here = r === at[0] && c === at[1];
      context.fillStyle = here ? COLOURS.WINDOW_OUTPUT : "white";
      context.fillRect(x, y, cell, cell);
      context.strokeStyle = here ? COLOURS.WINDOW_LINE : COLOURS.CELL_LINE;
      context.lineWidth = here ? 2 : 0.6;
      context.strokeRect(x + 0.5, y + 0.5, cell - 1, cell - 1);
    });
    const padded = uses.length === size ? "" : `, padded to ${uses.length} \u00d7 ${uses.length}`;
    names[0].textContent = `Input: ${size} \u00d7 ${size}${padded}`;
    names[1].textContent = `Output: ${out} \u00d7 ${out}`;
    input.setAttribute("aria-label", `${names[0].textContent}; each number says how many windows use that pixel.`);
    output.setAttribute("aria-label", `${names[1].textContent}; row ${at[0]}, column ${at[1]} is marked, with its window.`);
    lines.replaceChildren(...text.flatMap(([name, line]) => [h("strong", {}, name), h("span", {}, line)]));
    countPicture(root);
  }

  function go(...to) {
    const last = model.get("result").layer.out - 1;
    const next = to.map((i) => Math.min(Math.max(i, 0), last));
    if (next.join() === at.join()) return;
    at = next;
    draw();
  }

  output.addEventListener("pointermove", (event) => {
    const [x, y] = pointedAt(output, event);
    const side = cell * model.get("result").layer.out + 2; // with the margin of `drawGrid`
    go(...[y, x].map((share) => Math.floor((share * side - 1) / cell)));
  });
  onArrows(output, (down, right) => go(at[0] + down, at[1] + right));

  // What is shown is the last layer that could be: its pictures fade, its words must still be readable.
  const fade = () => root.classList.toggle("cnn-stale", Boolean(model.get("error")));
  // While a student holds a slider, an answer to an older position must not pull it back.
  const showValues = () => Object.entries(model.get("values")).forEach(([name, value]) => {
    if (document.activeElement !== controls[name].slider) controls[name].set(value);
  });
  root.append(grid, error, panels, lines, hintLine(hint));
  model.on("change:result", draw);
  model.on("change:error", fade);
  model.on("change:values", showValues);
  const end = bindText(model, error, "error");
  draw();
  fade();
  return () => {
    model.off("change:result", draw);
    model.off("change:error", fade);
    model.off("change:values", showValues);
    end();
  };
}

export default { render };
