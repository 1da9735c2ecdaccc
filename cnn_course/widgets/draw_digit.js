// Draw a digit. The strokes go to Python, which makes the 28 x 28 image, asks the network and sends back what it saw.

const SIZE = 280;

function render({ model, el }) {
  const root = makeRoot(el, "draw-digit", "Draw a digit");
  const canvas = h("canvas", {
    class: "cnn-draw-canvas", width: SIZE, height: SIZE, tabindex: "0", role: "img", "data-control": "canvas",
  });
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = false;
  const seen = h("canvas", { class: "cnn-draw-seen", role: "img", "aria-label": "the 28 by 28 image that the network gets" });
  const summary = h("p", { class: "cnn-summary", role: "status" });
  const error = h("p", { class: "cnn-error", role: "alert" });
  const list = h("div", { class: "cnn-draw-bars" });
  const stages = h("div", { class: "cnn-draw-stages" });
  const { strokes, ...shown } = structuredClone(model.get("shown"));
  let hand = null;

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
  function paint(target, pixels, rows, columns, scale) {
    Object.assign(target, { width: columns, height: rows });
    Object.assign(target.style, { width: `${columns * scale}px`, height: `${rows * scale}px` });
    const picture = new ImageData(columns, rows);
    for (let i = 0; i < rows * columns; i += 1) picture.data.set([pixels[i], pixels[i], pixels[i], 255], 4 * i);
    target.getContext("2d").putImageData(picture, 0, 0);
  }
  const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

  function drawAnswer() {
    const answer = model.get("answer");
    paint(seen, bytes(answer.seen), 28, 28, 4);
    answer.stages.forEach((stage, i) => {
      const row = stages.children[i] ?? stages.appendChild(h("div", { class: "cnn-draw-stage" }, h("div"), h("canvas", { role: "img" })));
      row.firstChild.replaceChildren(stage.name, h("span", {}, stage.what), h("span", {}, stage.range));
      row.lastChild.setAttribute("aria-label", `${stage.name}: ${stage.what}, ${stage.range}`);
      paint(row.lastChild, bytes(stage.pixels), stage.rows, stage.columns, stage.scale);
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
    const what = shown.example < 0 ? `Your drawing, ${strokes.length} strokes` : `The example ${model.get("names")[shown.example]}`;
    canvas.setAttribute("aria-label", `${what}. Digit keys show examples, Delete clears.`);
    if (shown.example >= 0) pen.drawImage(seen, 0, 0, SIZE, SIZE);
    Object.assign(pen, { strokeStyle: "white", lineWidth: 22, lineCap: "round", lineJoin: "round" });
    for (const stroke of strokes) {
      pen.beginPath();
      pen.moveTo(stroke[0], stroke[1]);
      for (let i = 0; i < stroke.length; i += 2) pen.lineTo(stroke[i], stroke[i + 1]);
      pen.stroke();
    }
  }

  /** Draw it here at once, and ask Python; `structuredClone` because the strokes will grow. */
  function tell(changed) {
    Object.assign(shown, changed);
    send(model, { shown: structuredClone({ ...shown, strokes }) });
    drawCanvas();
  }
  const restart = (example) => { strokes.length = 0; tell({ example }); };

  function point(event) {
    const box = canvas.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top].map((v, i) => v * SIZE / [box.width, box.height][i]);
    return at.map((v) => Math.round(10 * Math.max(0, Math.min(SIZE, v))) / 10);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0 || hand !== null) return;
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    hand = event.pointerId;
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
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[0-9]$/.test(event.key) && Number(event.key) < keys.length) restart(Number(event.key));
    else if (event.key === "Delete" || event.key === "Backspace") restart(-1);
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
      h("div", { class: "cnn-panel" }, h("h4", {}, "Draw a digit here"), canvas,
        h("div", { class: "cnn-draw-keys", role: "group", "aria-label": "Examples" }, ...keys),
        h("div", { class: "cnn-row", style: "margin: 8px 0 0" },
          h("button", { type: "button", "data-control": "clear", onclick: () => restart(-1) }, "Clear"),
          h("button", { type: "button", "data-control": "undo", onclick: () => { strokes.pop(); tell({}); } }, "Undo stroke"))),
      h("div", { class: "cnn-panel" }, h("h4", {}, "What the network sees"), seen),
      h("div", { class: "cnn-panel cnn-wide", style: "flex-basis: 240px" }, h("h4", {}, "Probability"), list)),
    error, stages,
    h("p", { class: "cnn-hint" }, "Mouse, pen and finger draw. The numbered buttons, and the digit keys on the canvas, show examples. ",
      "Your drawing is scaled to 20 pixels, drawn with a pen of 2.4, and centred by its mass, as the images of MNIST were."),
  );
  drawAnswer();
  drawCanvas();
  return () => {
    model.off("change:answer", drawAnswer);
    endError();
  };
}

export default { render };
