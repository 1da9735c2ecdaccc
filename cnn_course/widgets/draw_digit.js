// Draw a digit. The strokes go to Python, which makes the 28 x 28 image, asks the network and sends back what it saw.

const SIZE = 280;
const STEP = 10; // the pen's by the arrow keys: one of the 28 pixels

function render({ model, el }) {
  const hint = "Mouse, pen and finger draw; so do the arrow keys on the canvas, once Space has put the pen down. "
    + "The numbered buttons, and the digit keys on the canvas, show examples.";
  const root = makeRoot(el, "draw-digit", "Draw a digit", model.get("alt"), hint);
  const canvas = movedCanvas({ class: "cnn-draw-canvas", width: SIZE, height: SIZE, "data-control": "canvas" });
  const where = h("p", { class: "cnn-hint", "aria-live": "polite", hidden: true });
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = false;
  const seen = h("canvas", { class: "cnn-draw-seen", role: "img", "aria-label": "the 28 by 28 image that the network gets" });
  const summary = h("p", { class: "cnn-summary", role: "status" });
  const error = h("p", { class: "cnn-error", role: "alert" });
  const list = h("div", { class: "cnn-draw-bars" });
  const stages = h("div", { class: "cnn-draw-stages" });
  const { strokes, ...shown } = structuredClone(model.get("shown"));
  let hand = null;
  let tip = null; // {x, y, down}: the pen that is moved with the keys

  const bars = model.get("classes").map((name) => {
    const label = h("span", {}, name);
    const fill = h("div", { class: "cnn-fill" });
    const number = h("span", { class: "cnn-number" });
    list.append(label, h("div", { class: "cnn-trough" }, fill), number);
    return { label, fill, number };
  });
  const keys = model.get("names").map((name, i) => h("button", {
    type: "button", "data-control": `example-${i}`, "aria-label": `example ${name}`, onclick: () => restart(i),
  }, name));

  /** Grey numbers, row by row, as the pixels of a canvas that is shown `scale` times as large. */
  function paint(target, pixels, rows, columns, scale, left = 0, width = columns) {
    Object.assign(target, { width, height: rows });
    target.style.width = `${width * scale}px`;
    const picture = new ImageData(width, rows);
    for (let i = 0; i < rows * width; i += 1) {
      const grey = pixels[Math.floor(i / width) * columns + left + (i % width)];
      picture.data.set([grey, grey, grey, 255], 4 * i);
    }
    target.getContext("2d").putImageData(picture, 0, 0);
  }

  /** The maps of a stage, each on a canvas of its own, so that they go into the next row where they do not fit. */
  function paintStage(maps, { pixels, rows, columns, tile, scale }) {
    const count = Math.ceil(columns / (tile + 1));
    while (maps.children.length < count) maps.append(h("canvas", { "aria-hidden": "true" })); // the row has the name
    while (maps.children.length > count) maps.lastChild.remove();
    [...maps.children].forEach((map, i) => paint(map, bytes(pixels), rows, columns, scale, i * (tile + 1), tile));
  }
  const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

  function drawAnswer() {
    const answer = model.get("answer");
    paint(seen, bytes(answer.seen), 28, 28, 5);
    answer.stages.forEach((stage, i) => {
      const row = stages.children[i] ?? stages.appendChild(h("div", { class: "cnn-draw-stage" }, h("div"), h("div", { class: "cnn-draw-maps", role: "img" })));
      row.firstChild.replaceChildren(stage.name, h("span", {}, stage.what), h("span", {}, stage.range));
      row.lastChild.setAttribute("aria-label", `${stage.name}: ${stage.what}, ${stage.range}`);
      paintStage(row.lastChild, stage);
    });
    while (stages.children.length > answer.stages.length) stages.lastChild.remove();
    bars.forEach(({ label, fill, number }, i) => {
      const percent = 100 * answer.probabilities[i];
      fill.style.width = `${percent}%`;
      number.textContent = `${percent.toFixed(0)} %`;
      label.className = i === answer.best ? "cnn-best" : "";
    });
    summary.textContent = answer.summary;
    root.dataset.says = model.get("classes")[answer.best];
    if (shown.example >= 0) drawCanvas();
    countPicture(root);
  }

  /** The strokes, thick and white; or the example as it is. */
  function drawCanvas() {
    pen.fillStyle = "black";
    pen.fillRect(0, 0, SIZE, SIZE);
    keys.forEach((key, i) => key.setAttribute("aria-pressed", String(i === shown.example)));
    const what = shown.example < 0 ? `Your drawing, strokes: ${strokes.length}` : `The example ${model.get("names")[shown.example]}`;
    canvas.setAttribute("aria-label", `${what}. Arrow keys move a pen, Space puts it down and lifts it, digit keys show examples, Delete clears.`);
    if (shown.example >= 0) pen.drawImage(seen, 0, 0, SIZE, SIZE);
    Object.assign(pen, { strokeStyle: "white", lineWidth: 22, lineCap: "round", lineJoin: "round" });
    for (const stroke of strokes) {
      pen.beginPath();
      pen.moveTo(stroke[0], stroke[1]);
      for (let i = 0; i < stroke.length; i += 2) pen.lineTo(stroke[i], stroke[i + 1]);
      pen.stroke();
    }
    where.hidden = tip === null;
    if (tip === null) return;
    where.textContent = `The pen is ${tip.down ? "down" : "up"} at row ${Math.floor(tip.y / STEP)}, column ${Math.floor(tip.x / STEP)} of 28.`;
    Object.assign(pen, { strokeStyle: COLOURS.WINDOW, fillStyle: COLOURS.WINDOW, lineWidth: 3 });
    pen.beginPath();
    pen.arc(tip.x, tip.y, 9, 0, 2 * Math.PI);
    if (tip.down) pen.fill();
    else pen.stroke();
  }

  /** Draw it here at once, and ask Python; `structuredClone` because the strokes will grow. */
  function tell(changed) {
    Object.assign(shown, changed);
    send(model, { shown: structuredClone({ ...shown, strokes }) });
    drawCanvas();
  }
  const lift = () => { if (tip) tip.down = false; };
  const restart = (example) => { lift(); strokes.length = 0; tell({ example }); };
  const inside = (v) => Math.max(0, Math.min(SIZE, v));
  const point = (event) => pointedAt(canvas, event).map((share) => Math.round(10 * inside(share * SIZE)) / 10);

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0 || hand !== null) return;
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    hand = event.pointerId;
    tip = null; // the keys' pen goes away, and comes back with them
    strokes.push(point(event));
    tell({ example: -1 });
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== hand) return;
    const stroke = strokes.at(-1);
    // A fast hand makes several moves between two frames.
    for (const part of event.getCoalescedEvents?.() ?? [event]) {
      const [x, y] = point(part);
      if (Math.hypot(x - stroke.at(-2), y - stroke.at(-1)) >= 2) stroke.push(x, y);
    }
    tell({});
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { hand = null; });
  const takeUp = () => { tip ??= { x: SIZE / 2, y: SIZE / 2, down: false }; };
  onArrows(canvas, (down, right) => {
    takeUp();
    [tip.x, tip.y] = [inside(tip.x + STEP * right), inside(tip.y + STEP * down)];
    if (!tip.down) drawCanvas();
    else {
      strokes.at(-1).push(tip.x, tip.y);
      tell({});
    }
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[0-9]$/.test(event.key) && Number(event.key) < keys.length) restart(Number(event.key));
    else if (event.key === "Delete" || event.key === "Backspace") restart(-1);
    else if (event.key === " " || event.key === "Enter") {
      takeUp();
      tip.down = !tip.down;
      if (tip.down) {
        strokes.push([tip.x, tip.y]);
        tell({ example: -1 });
      } else drawCanvas();
    }
    else return;
    event.preventDefault();
  });

  const select = h("select", { "aria-label": "Network", "data-control": "model" },
    ...model.get("models").map((name) => h("option", { value: name }, name)));
  select.value = shown.model;
  select.addEventListener("change", () => tell({ model: select.value }));
  model.on("change:answer", drawAnswer);
  const endError = bindText(model, error, "error");
  root.append(
    h("div", { class: "cnn-row" }, h("label", {}, "Network ", select), summary),
    h("div", { class: "cnn-panels" },
      h("div", { class: "cnn-panel" }, h("h4", {}, "Draw a digit here"), canvas, where,
        h("div", { class: "cnn-draw-keys", role: "group", "aria-label": "Examples" }, ...keys),
        h("div", { class: "cnn-row", style: "margin: 8px 0 0" },
          h("button", { type: "button", "data-control": "clear", onclick: () => restart(-1) }, "Clear"),
          h("button", { type: "button", "data-control": "undo", onclick: () => { lift(); strokes.pop(); tell({}); } }, "Undo stroke"))),
      h("div", { class: "cnn-panel" }, h("h4", {}, "What the network sees"), seen),
      h("div", { class: "cnn-panel cnn-wide", style: "flex-basis: 240px" }, h("h4", {}, "Probability"), list)),
    error, stages,
    hintLine(`${hint} Your drawing is scaled to 20 pixels, drawn with a pen of 2.4, and centred by its mass, as the images of MNIST were.`),
  );
  drawAnswer();
  drawCanvas();
  return () => {
    model.off("change:answer", drawAnswer);
    endError();
  };
}

export default { render };
