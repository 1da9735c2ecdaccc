// The curves of a training that is still running. Rows arrive from Python while the kernel is busy, so everything that
// a student can do here happens in the browser.

const WIDE = 345, HIGH = 210, LEFT = 52, RIGHT = 12, TOP = 12, BOTTOM = 34;
const PANELS = [
  { what: "loss", label: "cross-entropy", parts: ["train_loss", "val_loss"] },
  { what: "accuracy", label: "share of right answers", parts: ["train_accuracy", "val_accuracy"] },
];
const CURVES = [COLOURS.TRAINING, COLOURS.VALIDATION]; // of `parts`, in their order

/** Round numbers from low to high, about four of them. */
function ticks(low, high) {
  const raw = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= raw);
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + 1e-9 * step; value += step) found.push(value);
  return found;
}

function render({ model, el }) {
  const title = model.get("title");
  const hint = "Point at an epoch, or use the left and right keys, to read its values.";
  const root = makeRoot(el, "training-monitor", title || "Training monitor", model.get("alt"), hint);
  const log = h("input", { type: "checkbox", "data-control": "log" });
  const status = h("p", { class: "cnn-summary", role: "status" });
  const panels = PANELS.map((panel) => {
    const canvas = movedCanvas({ "data-control": panel.what });
    const said = h("p", { class: "cnn-summary cnn-hint" });
    return { ...panel, canvas, said, context: null };
  });
  let chosen = null; // index of the epoch that is marked: none is the last one

  const digits = (v) => (v === null || v === undefined ? "\u2013" : written(v, Math.abs(v) < 0.1 ? 4 : 3));

  function drawPanel(panel, rows) {
    const { canvas } = panel;
    const context = emptyCanvas(canvas, WIDE, HIGH);
    context.font = "12px system-ui, sans-serif";
    const last = Math.max(model.get("epochs"), rows.length, 2);
    const isLog = panel.what === "loss" && log.checked;
    const values = rows.flatMap((row) => panel.parts.map((part) => row[part])).filter((v) => v !== null && (!isLog || v > 0));
    const as = (v) => (isLog ? Math.log10(v) : v);
    let low = values.length ? Math.min(...values.map(as)) : 0;
    let high = values.length ? Math.max(...values.map(as)) : 1;
    if (panel.what === "accuracy") high = 1;
    else if (!isLog) low = 0;
    if (high - low < 1e-6) [low, high] = [low - 0.5, high + 0.5];
    const x = (epoch) => LEFT + ((epoch - 1) / (last - 1)) * (WIDE - LEFT - RIGHT);
    const y = (v) => HIGH - BOTTOM - ((v - low) / (high - low)) * (HIGH - TOP - BOTTOM);
    context.fillStyle = COLOURS.INK;
    context.strokeStyle = COLOURS.GRID;
    context.lineWidth = 1;
    const marks = isLog && high - low < 1 ? ticks(10 ** low, 10 ** high).filter((v) => v > 0).map(Math.log10) : ticks(low, high);
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const mark of marks) {
      context.strokeRect(LEFT, y(mark), WIDE - LEFT - RIGHT, 0);
      context.fillText(String(Number((isLog ? 10 ** mark : mark).toPrecision(2))), LEFT - 6, y(mark));
    }
    context.textAlign = "center";
    for (const epoch of ticks(1, last).map(Math.round)) context.fillText(epoch, x(epoch), HIGH - BOTTOM + 12);
    context.fillText("epoch", (LEFT + WIDE - RIGHT) / 2, HIGH - 8);
    panel.parts.forEach((part, i) => {
      context.strokeStyle = context.fillStyle = CURVES[i];
      context.lineWidth = 2;
      context.setLineDash(i ? [6, 4] : []);
      context.beginPath();
      let pen = false;
      for (const row of rows) {
        const v = row[part];
        const drawn = v !== null && (!isLog || v > 0);
        if (drawn) context[pen ? "lineTo" : "moveTo"](x(row.epoch), y(as(v)));
        pen = drawn;
      }
      context.stroke();
      context.setLineDash([]);
      const row = rows[chosen ?? rows.length - 1];
      if (!row || row[part] === null || (isLog && row[part] <= 0)) return;
      context.beginPath();
      context.arc(x(row.epoch), y(as(row[part])), 4, 0, 2 * Math.PI);
      context.fill();
    });
    const row = rows[chosen ?? rows.length - 1];
    panel.said.textContent = row
      ? `epoch ${row.epoch}: training ${digits(row[panel.parts[0]])}, validation ${digits(row[panel.parts[1]])}`
      : panel.label;
    canvas.setAttribute("aria-label", `${panel.what} against the epoch; ${panel.said.textContent}`);
    // What a student asks for is read out; what the training does is in the status line.
    panel.said.setAttribute("aria-live", chosen === null ? "off" : "polite");
    panel.epochAt = (share) => Math.round(1 + ((share * WIDE - LEFT) / (WIDE - LEFT - RIGHT)) * (last - 1));
  }

  function draw() {
    const rows = model.get("rows");
    panels.forEach((panel) => drawPanel(panel, rows));
    const all = Math.max(model.get("epochs"), rows.length);
    const each = rows.length ? rows.reduce((sum, row) => sum + row.seconds, 0) / rows.length : 0;
    if (model.get("over")) status.textContent = `${rows.length} of ${all} epochs: the training is over.`;
    else if (!rows.length) status.textContent = "Waiting for the first epoch.";
    else status.textContent = `${rows.length} of ${all} epochs, ${written(each, 1)} s each; about ${Math.ceil(each * (all - rows.length))} s to go.`;
    root.dataset.epochs = String(rows.length);
    countPicture(root);
  }

  function choose(index) {
    const count = model.get("rows").length;
    const next = count ? Math.max(0, Math.min(count - 1, index)) : null;
    if (next === chosen) return;
    chosen = next;
    draw();
  }

  for (const panel of panels) {
    panel.canvas.addEventListener("pointermove", (event) => choose(panel.epochAt(pointedAt(panel.canvas, event)[0]) - 1));
    panel.canvas.addEventListener("pointerleave", () => { chosen = null; draw(); });
    onArrows(panel.canvas, (_, right) => choose((chosen ?? model.get("rows").length - 1) + right));
  }
  log.addEventListener("change", draw);

  if (title) root.append(h("p", { class: "cnn-title" }, title));
  root.append(
    h("div", { class: "cnn-row" },
      ...["training", "validation"].map((part, i) => h("span", { class: "cnn-field" },
        h("span", { class: "cnn-line", style: `border-top: 3px ${i ? "dashed" : "solid"} ${CURVES[i]}` }), part)),
      h("label", { class: "cnn-check" }, log, "loss on a logarithmic scale")),
    h("div", { class: "cnn-panels" }, ...panels.map((panel) =>
      h("div", {}, h("h4", {}, panel.label), h("div", { class: "cnn-picture" }, panel.canvas), panel.said))),
    status,
    hintLine(hint),
  );
  const changes = ["rows", "over"];
  for (const trait of changes) model.on(`change:${trait}`, draw);
  draw();
  return () => { for (const trait of changes) model.off(`change:${trait}`, draw); };
}

export default { render };
