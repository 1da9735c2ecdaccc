// Layers are added and removed; Python answers with one row of numbers per layer, and the canvas draws the chosen one.

function render({ model, el }) {
  const hint = "Orange: what the unit sees. Blue, dashed: its neighbour on the right, one jump further. Click the photograph or use the arrow keys to choose a unit; click a layer to look at it.";
  const root = makeRoot(el, "stack-builder", "Stack builder", model.get("alt"), hint);
  const size = model.get("size");
  const margin = Math.round(size / 5); // of the world around the photograph, where padding is
  const scale = 380 / (size + 2 * margin);
  const canvas = movedCanvas({ width: 380, height: 380, "data-control": "unit" });
  const pen = canvas.getContext("2d");
  const where = h("p", { class: "cnn-hint", role: "status" });
  const summary = h("p", { class: "cnn-summary", role: "status" });
  const error = h("p", { class: "cnn-error", role: "alert" });
  const head = ["layer", "units", "jump", "field", "parameters"].map((name) => h("th", {}, name));
  head.push(h("td", {})); // over the buttons that remove a layer
  const body = h("tbody");
  const list = h("div", { class: "cnn-panel" }, h("table", { class: "cnn-layers" }, h("thead", {}, h("tr", {}, ...head)), body));
  let photo = null;
  let shown = model.get("rows").length - 1;
  let unit = [0, 0];

  const row = () => model.get("rows")[shown];
  const toCanvas = (pixel) => (pixel + 0.5 + margin) * scale;

  function square([y, x], { field, jump, centre }, colour, dashes) {
    const [top, left] = [y, x].map((u) => toCanvas(centre + u * jump) - (field * scale) / 2);
    pen.setLineDash(dashes);
    pen.lineWidth = 2.5;
    pen.strokeStyle = colour;
    pen.strokeRect(left, top, field * scale, field * scale);
  }

  function draw() {
    const { units, jump, field, centre, name } = row();
    pen.fillStyle = COLOURS.OUTSIDE;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    if (photo) pen.drawImage(photo, margin * scale, margin * scale, size * scale, size * scale);
    if (jump * scale >= 14) {
      for (let y = 0; y < units; y += 1) {
        for (let x = 0; x < units; x += 1) {
          pen.fillStyle = COLOURS.UNIT_RIM;
          pen.fillRect(toCanvas(centre + x * jump) - 2, toCanvas(centre + y * jump) - 2, 4, 4);
          pen.fillStyle = "white";
          pen.fillRect(toCanvas(centre + x * jump) - 1, toCanvas(centre + y * jump) - 1, 2, 2);
        }
      }
    }
    const neighbour = unit[1] + 1 < units ? [unit[0], unit[1] + 1] : null;
    if (neighbour) square(neighbour, row(), COLOURS.NEIGHBOUR, [6, 4]);
    square(unit, row(), COLOURS.WINDOW, []);
    const [y, x] = unit.map((u) => centre + u * jump);
    const first = [y, x].map((c) => c - (field - 1) / 2);
    const outside = first.some((f) => f < 0 || f + field > size);
    const range = (f) => `${written(f, 0)} to ${written(f + field - 1, 0)}`;
    where.textContent = `${name}: unit (${unit.join(", ")}) of ${units} \u00d7 ${units} sees rows ${range(first[0])}, `
      + `columns ${range(first[1])}${outside ? "; what lies outside the photograph is padding" : ""}.`;
    canvas.setAttribute("aria-label", `The photograph. ${where.textContent} Arrow keys go to the next unit.`);
    root.dataset.unit = unit.join();
    countPicture(root);
  }

  function choose(to) {
    unit = to.map((u) => Math.max(0, Math.min(row().units - 1, u)));
    draw();
  }

  function show(index) {
    shown = index;
    [...body.rows].forEach((line, i) => line.classList.toggle("cnn-now", i === shown));
    list.scrollTop = body.rows[shown].offsetTop - list.clientHeight / 2;
    const middle = Math.floor(row().units / 2);
    choose([middle, middle]);
  }

  const button = (text, label, act, control) =>
    h("button", { type: "button", "aria-label": label, title: label, onclick: act, "data-control": control }, text);
  const setLayers = (layers) => send(model, { layers });

  function fill() {
    const rows = model.get("rows");
    body.replaceChildren(...rows.map((r, i) => h("tr", {},
      h("td", {}, button(`${i}  ${r.name}`, `show what layer ${i}, ${r.name}, sees`, () => show(i))),
      ...[r.units, r.jump, r.field, r.parameters ? r.parameters.toLocaleString("en") : ""].map((v) => h("td", {}, String(v))),
      h("td", {}, i ? button("\u00d7", `remove layer ${i}, ${r.name}`, () => setLayers(model.get("layers").filter((_, j) => j !== i - 1))) : null))));
    const layers = model.get("layers").join("|");
    preset.value = Object.keys(model.get("presets")).find((name) => model.get("presets")[name].join("|") === layers) || "";
    remove.disabled = rows.length === 1;
    show(rows.length - 1);
  }

  const block = h("select", { "aria-label": "layer to add", "data-control": "block" },
    ...model.get("blocks").map((name) => h("option", { value: name }, name)));
  const preset = h("select", { "aria-label": "start from a known stack", "data-control": "preset" },
    h("option", { value: "" }, "your own stack"), ...Object.keys(model.get("presets")).map((name) => h("option", { value: name }, name)));
  preset.addEventListener("change", () => { if (preset.value) setLayers(model.get("presets")[preset.value]); });
  const add = button("Add", "Add this layer on top", () => setLayers([...model.get("layers"), block.value]), "add");
  const remove = button("Remove last", "Remove the last layer", () => setLayers(model.get("layers").slice(0, -1)), "remove");
  const padded = h("input", { type: "checkbox", "data-control": "padded" });
  padded.addEventListener("change", () => send(model, { padded: padded.checked }));

  canvas.addEventListener("click", (event) => {
    const { jump, centre } = row();
    const [x, y] = pointedAt(canvas, event);
    choose([y, x].map((share) => Math.round((share * canvas.width / scale - margin - 0.5 - centre) / jump)));
  });
  onArrows(canvas, (down, right) => choose([unit[0] + down, unit[1] + right]));

  root.append(
    h("div", { class: "cnn-row" }, block, add, remove, preset, h("label", { class: "cnn-check" }, padded, "pad the convolutions")),
    h("div", { class: "cnn-panels cnn-stack" },
      h("div", { class: "cnn-panel" }, canvas),
      list),
    summary, where, error,
    hintLine(hint),
  );
  const ends = [
    bindText(model, summary, "summary"), bindText(model, error, "error"), follow(model, "rows", fill),
    follow(model, "padded", () => { padded.checked = model.get("padded"); }),
  ];
  decoded(model.get("photo")).then((bitmap) => { photo = bitmap; draw(); });
  return () => ends.forEach((end) => end());
}

export default { render };
