// The window steps over the input; every number shown was computed in Python, but for the products under the window.

function makeGrid(rows, columns, className, label) {
  const cells = [];
  const body = h("tbody");
  for (let r = 0; r < rows; r += 1) {
    const row = h("tr");
    cells.push([]);
    for (let c = 0; c < columns; c += 1) {
      const cell = h("td");
      cells[r].push(cell);
      row.append(cell);
    }
    body.append(row);
  }
  return { cells, table: h("table", { class: `cnn-grid ${className}`, "aria-label": label }, body) };
}

function render({ model, el }) {
  const { padded, padding, stride, kernels, outputs } = model.get("data");
  const digits = model.get("digits");
  const show = (value) => written(value, digits);
  const [kh, kw] = [kernels[0].length, kernels[0][0].length];
  const [rows, columns] = [outputs[0].length, outputs[0][0].length];
  const last = rows * columns - 1;
  let step = 0;
  let timer = null;

  const hint = "Arrow keys step; click an output cell to jump there.";
  const root = makeRoot(el, "stepping-window", model.get("title") || "Step the window over the input", model.get("alt"), hint);
  const input = makeGrid(padded.length, padded[0].length, "cnn-input", "input");
  const kernel = makeGrid(kh, kw, "cnn-kernel", "kernel");
  const product = makeGrid(kh, kw, "cnn-product", "products of window and kernel");
  const output = makeGrid(rows, columns, "cnn-output", "output");
  const longest = Math.max(...[padded, ...kernels, ...outputs].flat(2).map((v) => show(v).length));
  root.style.setProperty("--em", Math.max(2.1, 0.62 * longest + 0.7));
  root.style.setProperty("--most", Math.max(padded[0].length, columns, kw));
  // Three panels side by side while they fit into a notebook, else the output below the kernel.
  const wide = (padded[0].length + columns + kw) * (longest > 4 ? 1.35 : 1) > 20;
  root.style.fontSize = wide ? "12px" : "";

  padded.forEach((line, r) => line.forEach((value, c) => {
    const inside = r >= padding[0] && r < padded.length - padding[0] && c >= padding[1] && c < line.length - padding[1];
    input.cells[r][c].textContent = show(value);
    input.cells[r][c].classList.toggle("cnn-border", !inside);
  }));
  output.cells.forEach((line, r) => line.forEach((cell, c) => {
    const button = h("button", { type: "button", tabindex: "-1", onclick: () => { stop(); go(r * columns + c); } });
    cell.append(button);
  }));

  const sum = h("p", { class: "cnn-sum", role: "status" });
  const kernelTitle = h("h4");
  const panel = (title, ...nodes) => h("div", { class: "cnn-panel" }, typeof title === "string" ? h("h4", {}, title) : title, ...nodes);
  const kernelPanel = panel(kernelTitle, kernel.table);
  const productPanel = panel("Window \u00d7 kernel", product.table);
  const outputPanel = panel(`Output: ${rows} \u00d7 ${columns}`, output.table);
  const inputTitle = `Input${padding[0] || padding[1] ? ", padded" : ""}: ${padded.length} \u00d7 ${padded[0].length}`;

  const button = (text, label, act) => h("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
  const back = button("\u25c0 Back", "One step back", () => { stop(); go(step - 1); });
  const forward = button("Step \u25b6", "One step forward", () => { stop(); go(step + 1); });
  const play = button("Play", "Play all steps", () => (timer ? stop() : start()));
  const reset = button("Reset", "Back to the first step", () => { stop(); go(0); });
  forward.dataset.control = "step";
  const speedId = uniqueId();
  const speed = h("input", { type: "range", id: speedId, min: "1", max: "10", step: "1", value: "3" });
  speed.addEventListener("input", () => { if (timer) start(); });
  const flipBox = h("input", { type: "checkbox", "data-control": "flip" });
  flipBox.checked = model.get("flipped");
  flipBox.addEventListener("change", () => { send(model, { flipped: flipBox.checked }); go(step); });

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  function start() {
    clearInterval(timer);
    if (step === last) go(0);
    timer = setInterval(() => {
      if (!root.isConnected || step >= last) stop();
      else go(step + 1);
    }, 1000 / Number(speed.value));
    play.textContent = "Pause";
  }

  function go(to) {
    step = Math.min(Math.max(to, 0), last);
    const turned = Number(flipBox.checked);
    const [row, column] = [Math.floor(step / columns), step % columns];
    const [top, left] = [row * stride[0], column * stride[1]];
    input.cells.forEach((line, r) => line.forEach((cell, c) => {
      cell.classList.toggle("cnn-window", r >= top && r < top + kh && c >= left && c < left + kw);
    }));
    const terms = [];
    kernels[turned].forEach((line, r) => line.forEach((weight, c) => {
      const value = padded[top + r][left + c] * weight;
      kernel.cells[r][c].textContent = show(weight);
      product.cells[r][c].textContent = show(value);
      terms.push(value < 0 && terms.length ? `(${show(value)})` : show(value));
    }));
    output.cells.forEach((line, r) => line.forEach((cell, c) => {
      const at = r * columns + c;
      const here = at === step;
      const value = show(outputs[turned][r][c]);
      cell.classList.toggle("cnn-now", here);
      cell.classList.toggle("cnn-done", at < step);
      cell.firstChild.textContent = at <= step ? value : "\u00a0";
      cell.firstChild.tabIndex = here ? 0 : -1;
      cell.firstChild.setAttribute("aria-label", `output row ${r}, column ${c}${at <= step ? `: ${value}` : ", not computed yet"}`);
    }));
    kernelTitle.textContent = turned ? "Kernel, turned round" : "Kernel";
    sum.replaceChildren(`${terms.join(" + ")} = `, h("strong", {}, show(outputs[turned][row][column])),
      ` \u2192 output[${row}, ${column}]`, h("span", { class: "cnn-faint" }, `   step ${step + 1} of ${last + 1}`));
    back.disabled = step === 0;
    forward.disabled = step === last;
    root.dataset.step = String(step);
    countPicture(root);
  }

  root.addEventListener("keydown", (event) => {
    if (event.target === speed) return;
    const to = {
      ArrowRight: step + 1, ArrowLeft: step - 1, ArrowDown: step + columns, ArrowUp: step - columns, Home: 0, End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    stop();
    if (to >= 0 && to <= last) go(to);
    if (event.target.closest(".cnn-output")) output.cells[Math.floor(step / columns)][step % columns].firstChild.focus();
  });

  if (model.get("title")) root.append(h("p", { class: "cnn-title" }, model.get("title")));
  root.append(
    h("div", { class: "cnn-row" }, back, forward, play, reset,
      h("label", { class: "cnn-check", for: speedId }, "Speed", speed),
      h("label", { class: "cnn-check" }, flipBox, "turn the kernel round (convolution)")),
    h("div", { class: "cnn-panels" },
      panel(inputTitle, input.table),
      ...(wide
        ? [h("div", {}, h("div", { class: "cnn-panels" }, kernelPanel, productPanel), outputPanel)]
        : [h("div", {}, kernelPanel, productPanel), outputPanel])),
    sum,
    hintLine(hint),
  );
  go(0);
  return stop;
}

export default { render };
