// A kernel and the matrix of its convolution. Python says which tap stands in which entry; the browser colours the
// entries by the taps' values, and marks the chosen tap wherever it stands.

const BOX = 380; // pixels to a side of the matrix

/** Red above zero, blue below, as in the figures of the course, and never so dark that a number on it cannot be read;
 *  white is zero. */
function colour(value, limit) {
  return faded(value > 0 ? COLOURS.POSITIVE : COLOURS.NEGATIVE, (0.6 * Math.abs(value)) / limit);
}

function render({ model, el }) {
  const { which, names, kernel, row, flat, borders, readable } = model.get("data");
  const side = which.zeros.length;
  const cell = Math.min(36, Math.floor(BOX / side));
  const hint = "Change a tap with the up and down keys or by typing; point at an entry, or go to a tap, to see where it stands.";
  const root = makeRoot(el, "kernel-matrix", "A kernel and its matrix", model.get("alt"), hint);
  let chosen = 0;

  const inputs = names.map((name, i) => {
    const input = h("input", {
      type: "number", step: "1", "data-control": `tap-${i}`, "aria-label": `tap ${name}`, value: model.get("cells")[i],
    });
    input.addEventListener("input", () => {
      // While something is typed that is no number yet, the matrix keeps the last one.
      const bad = input.value === "" || !Number.isFinite(input.valueAsNumber);
      input.setAttribute("aria-invalid", String(bad));
      if (bad) return;
      const cells = [...model.get("cells")];
      cells[i] = input.valueAsNumber;
      send(model, { cells });
    });
    for (const event of ["focus", "pointerenter"]) input.addEventListener(event, () => choose(i));
    return input;
  });

  const id = uniqueId();
  const border = h("select", { id, "data-control": "border" },
    ...Object.entries(borders).map(([value, name]) => h("option", { value }, name)));
  border.addEventListener("change", () => send(model, { border: border.value }));

  const canvas = h("canvas", { role: "img" });
  const caption = h("p", { class: "cnn-summary", role: "status" });
  const summary = h("p", { "aria-live": "polite" });
  const error = h("p", { class: "cnn-error", role: "alert" });

  function draw() {
    const cells = model.get("cells");
    const map = which[model.get("border")];
    const limit = Math.max(...cells.map(Math.abs)) || 1;
    const context = emptyGrid(canvas, cell * side, 2);
    map.forEach((line, r) => line.forEach((tap, c) => {
      const [x, y] = [c * cell, r * cell];
      context.fillStyle = tap < 0 ? COLOURS.CELL_MUTED : colour(cells[tap], limit);
      context.fillRect(x, y, cell, cell);
      context.lineWidth = 0.5;
      context.strokeStyle = COLOURS.MATRIX_LINE;
      context.strokeRect(x, y, cell, cell);
      if (side > readable) return;
      const text = String(Number((tap < 0 ? 0 : cells[tap]).toFixed(2))).replace("-", "\u2212");
      context.font = `${tap === chosen ? "bold " : ""}${Math.min(14, (1.3 * cell) / Math.max(text.length, 2))}px system-ui, sans-serif`;
      context.fillStyle = tap < 0 ? COLOURS.INK_PADDING : COLOURS.INK;
      context.fillText(text, x + cell / 2, y + cell / 2 + 1);
    }));
    context.strokeStyle = COLOURS.BLOCK_LINE;
    context.lineWidth = 1;
    for (let at = row; !flat && at < side; at += row) {
      context.strokeRect(0, at * cell, side * cell, 0);
      context.strokeRect(at * cell, 0, 0, side * cell);
    }
    let stands = 0;
    map.forEach((line, r) => line.forEach((tap, c) => {
      if (tap !== chosen) return;
      stands += 1;
      context.strokeStyle = COLOURS.WINDOW;
      context.lineWidth = Math.max(2, cell / 9);
      context.strokeRect(c * cell + 1.5, r * cell + 1.5, cell - 3, cell - 3);
    }));
    inputs.forEach((input, i) => {
      input.classList.toggle("cnn-chosen", i === chosen);
      if (document.activeElement !== input) input.value = cells[i];
    });
    border.value = model.get("border");
    caption.textContent = `Tap ${names[chosen]} is ${written(cells[chosen], 2).replace(/\.?0+$/, "")} and stands in ${stands} of the ${side} rows.`;
    canvas.setAttribute("aria-label", `The ${side} by ${side} matrix, ${borders[model.get("border")]}. ${caption.textContent}`);
    countPicture(root);
  }

  function choose(i) {
    if (i === chosen) return;
    chosen = i;
    draw();
  }

  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = pointedAt(canvas, event);
    const [r, c] = [y, x].map((share) => Math.floor((share * (cell * side + 4) - 2) / cell)); // 2: the grid's margin
    const tap = which[model.get("border")][r]?.[c] ?? -1;
    if (tap >= 0) choose(tap);
  });

  root.append(
    h("div", { class: "cnn-panels" },
      h("div", { class: "cnn-panel cnn-nine", role: "group", "aria-label": "the taps of the kernel" },
        h("h4", {}, "Kernel"),
        h("div", { class: "cnn-cells", style: `grid-template-columns: repeat(${kernel[1]}, 62px)` }, ...inputs),
        h("p", {}, h("span", { class: "cnn-field" }, h("label", { for: id }, "Border"), border))),
      h("div", {}, h("h4", {}, `Matrix: ${side} outputs \u00d7 ${side} inputs`),
        h("div", { class: "cnn-picture" }, canvas))),
    caption, summary, error,
    hintLine(hint),
  );
  const ends = [bindText(model, summary, "summary"), bindText(model, error, "error")];
  for (const trait of ["cells", "border"]) model.on(`change:${trait}`, draw);
  draw();
  return () => {
    for (const trait of ["cells", "border"]) model.off(`change:${trait}`, draw);
    ends.forEach((end) => end());
  };
}

export default { render };
