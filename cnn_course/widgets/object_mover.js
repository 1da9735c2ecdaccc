// Drag the object. The canvas follows the hand at once; the picture and the bars that come back are what the models saw.

function render({ model, el }) {
  const [rows, columns] = model.get("size");
  const limit = model.get("max_shift");
  const hint = `Drag with the mouse, or go to the picture and use the arrow keys. At most ${limit} px each way.`;
  const root = makeRoot(el, "object-mover", "Object mover", model.get("alt"), hint);
  const scale = Math.max(1, Math.floor(288 / Math.max(rows, columns)));
  const canvas = movedCanvas({ width: columns * scale, height: rows * scale, "data-control": "canvas" });
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = false;
  const where = h("p", { class: "cnn-hint", role: "status" });
  const error = h("p", { class: "cnn-error", role: "alert" });
  const list = h("div", { class: "cnn-bars", "aria-live": "polite" });
  const trueClass = model.get("true_class");
  let shift = [...model.get("seen")];
  let unmoved = null;

  const bars = model.get("scores").map((score) => {
    const fill = h("div", { class: "cnn-fill" });
    const number = h("span", { class: "cnn-number" });
    const verdict = h("span", { class: "cnn-verdict" });
    list.append(h("div", { class: "cnn-model", "aria-atomic": "true" },
      h("div", { class: "cnn-model-head" }, h("span", { class: "cnn-name" }, score.name), verdict),
      h("div", { class: "cnn-track" }, h("div", { class: "cnn-trough" }, fill), number)));
    return { fill, number, verdict };
  });

  function drawScores() {
    model.get("scores").forEach((score, i) => {
      const percent = 100 * score.probability;
      bars[i].fill.style.width = `${percent}%`;
      bars[i].number.textContent = `${percent.toFixed(0)} %`;
      const mark = score.right === null ? "" : score.right ? "\u2713 " : "\u2717 ";
      bars[i].verdict.textContent = `${mark}says ${score.top} (${(100 * score.top_probability).toFixed(0)} %)`;
      for (const node of [bars[i].fill, bars[i].verdict]) {
        node.classList.toggle("cnn-right", score.right === true);
        node.classList.toggle("cnn-wrong", score.right === false);
      }
    });
  }

  /** What the models saw, once they have answered; an answer to an older position is not drawn over a newer one. */
  async function drawSeen() {
    const seen = model.get("seen").join();
    const bitmap = await decoded(model.get("picture"));
    if (seen !== shift.join()) return;
    pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    root.dataset.shift = seen;
    countPicture(root);
  }

  function drawGuess() {
    if (!unmoved) return;
    pen.fillStyle = model.get("background");
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(unmoved, shift[1] * scale, shift[0] * scale, canvas.width, canvas.height);
  }

  function describe() {
    const [dy, dx] = shift;
    const parts = [
      dy === 0 ? "" : `${Math.abs(dy)} px ${dy > 0 ? "down" : "up"}`,
      dx === 0 ? "" : `${Math.abs(dx)} px ${dx > 0 ? "right" : "left"}`,
    ].filter(Boolean);
    where.textContent = parts.length ? `Moved ${parts.join(", ")}.` : "Where it was.";
    canvas.setAttribute("aria-label", `The object. ${where.textContent} Arrow keys move it.`);
  }

  function move(dy, dx) {
    const clamp = (v) => Math.max(-limit, Math.min(limit, Math.round(v)));
    const next = [clamp(dy), clamp(dx)];
    if (next[0] === shift[0] && next[1] === shift[1]) return;
    shift = next;
    describe();
    drawGuess();
    send(model, { shift });
  }

  let grip = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    const [x, y] = pointedAt(canvas, event);
    grip = { x, y, shift: [...shift] };
    canvas.classList.add("cnn-held");
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const [x, y] = pointedAt(canvas, event);
    move(grip.shift[0] + (y - grip.y) * rows, grip.shift[1] + (x - grip.x) * columns);
  });
  const release = () => { grip = null; canvas.classList.remove("cnn-held"); };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  onArrows(canvas, (down, right) => move(shift[0] + down, shift[1] + right));
  canvas.addEventListener("keydown", (event) => {
    if (event.key !== "Home") return;
    event.preventDefault();
    move(0, 0);
  });

  model.on("change:scores", drawScores);
  model.on("change:seen", drawSeen);
  const ends = [bindText(model, error, "error")];
  const what = trueClass === null
    ? "Probability of each model\u2019s own answer"
    : `Probability of the true class: ${model.get("classes")[trueClass]}`;
  root.append(
    h("div", { class: "cnn-panels cnn-mover" },
      h("div", { class: "cnn-panel" }, h("h4", {}, "Drag the object"), canvas, where,
        h("button", { type: "button", onclick: () => move(0, 0) }, "Back to where it was")),
      h("div", { class: "cnn-panel cnn-wide" }, h("h4", {}, what), list)),
    error,
    hintLine(hint),
  );
  describe();
  drawScores();
  drawSeen();
  decoded(model.get("unmoved")).then((bitmap) => { unmoved = bitmap; });
  return () => {
    model.off("change:scores", drawScores);
    model.off("change:seen", drawSeen);
    ends.forEach((end) => end());
  };
}

export default { render };
