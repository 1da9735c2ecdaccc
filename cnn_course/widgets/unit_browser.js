// Click a unit: the image made for it, the images that excite it most, and what it sees of them. Python made every
// picture beforehand; the browser only cuts them out.

const TILE = 44, GAP = 4, BIG = 128; // four pixels for one of an image of 32

function render({ model, el }) {
  const hint = "Click a unit, or use the arrow keys.";
  const root = makeRoot(el, "unit-browser", "Units and what excites them", model.get("alt"), hint);
  const [height, width] = model.get("size");
  const layers = model.get("layers"), PER_ROW = model.get("per_row");
  let [layer, unit] = model.get("chosen");
  let sprites = [], pool = null;

  const select = h("select", { "data-control": "layer", "aria-label": "layer" },
    ...layers.map((one, i) => h("option", { value: i }, one.name)));
  const grid = movedCanvas({ "data-control": "units" });
  const best = h("canvas", { role: "img" });
  const images = h("div", { class: "cnn-tiles" });
  const status = h("p", { class: "cnn-summary", role: "status" });

  /** A context of this size, sharp on any screen, with hard pixels. */
  function prepare(canvas, w, tall) {
    const pen = emptyCanvas(canvas, w, tall);
    pen.imageSmoothingEnabled = false;
    return pen;
  }

  /** Draw tile `n` of a sprite, or the part `box` of it, into a rectangle. */
  function tile(pen, sprite, n, x, y, w, tall, box = [0, 0, height, width]) {
    const columns = model.get("columns");
    const left = (n % columns) * width, top = Math.floor(n / columns) * height;
    const [by, bx, bh, bw] = box;
    const y0 = Math.max(0, by), x0 = Math.max(0, bx), y1 = Math.min(height, by + bh), x1 = Math.min(width, bx + bw);
    if (y1 <= y0 || x1 <= x0) return;
    // What lies outside the image is padding, and stays as it is.
    pen.drawImage(sprite, left + x0, top + y0, x1 - x0, y1 - y0,
      x + ((x0 - bx) / bw) * w, y + ((y0 - by) / bh) * tall, ((x1 - x0) / bw) * w, ((y1 - y0) / bh) * tall);
  }

  function frame(pen, x, y, w, tall) {
    pen.strokeStyle = COLOURS.WINDOW;
    pen.lineWidth = 3;
    pen.strokeRect(x, y, w, tall);
  }

  function draw() {
    if (!pool) return;
    const { name, units } = layers[layer], top = units[unit];
    const step = TILE + GAP, rows = Math.ceil(units.length / PER_ROW);
    const pen = prepare(grid, PER_ROW * step, rows * step);
    units.forEach((_, n) => tile(pen, sprites[layer], n, (n % PER_ROW) * step + 2, Math.floor(n / PER_ROW) * step + 2, TILE, TILE));
    frame(pen, (unit % PER_ROW) * step + 2, Math.floor(unit / PER_ROW) * step + 2, TILE, TILE);

    const made = prepare(best, BIG, BIG);
    tile(made, sprites[layer], unit, 0, 0, BIG, BIG);
    // An image and, below it, what the unit sees of it.
    images.replaceChildren(...top.map(({ image, box, value }, n) => {
      const canvas = h("canvas", { role: "img", "aria-label":
        `Image ${n + 1} of ${top.length}, answer ${written(value, 1)}, with a frame around what the unit sees, and that part enlarged.` });
      const side = prepare(canvas, BIG, 2 * BIG + GAP);
      tile(side, pool, image, 0, 0, BIG, BIG);
      side.save();
      side.beginPath();
      side.rect(0, 0, BIG, BIG);
      side.clip();
      frame(side, (box[1] / width) * BIG, (box[0] / height) * BIG, (box[3] / width) * BIG, (box[2] / height) * BIG);
      side.restore();
      side.fillStyle = COLOURS.LINE_ON_ANY;
      side.fillRect(0, BIG + GAP, BIG, BIG);
      tile(side, pool, image, 0, BIG + GAP, BIG, BIG, box);
      return canvas;
    }));
    const values = top.map((entry) => written(entry.value, 1)).join(", ");
    const dead = top[0].value === 0 ? " No image excites it." : "";
    status.textContent = `Unit ${unit} of ${units.length} in ${name}. Its strongest answers: ${values}.${dead}`;
    grid.setAttribute("aria-label", `${status.textContent} Arrow keys choose another unit.`);
    best.setAttribute("aria-label", `The image made to excite unit ${unit}.`);
    root.dataset.unit = `${name},${unit}`;
    countPicture(root);
  }

  function choose(nextLayer, nextUnit) {
    if (!layers[nextLayer].units[nextUnit]) return;
    [layer, unit] = [nextLayer, nextUnit];
    select.value = layer;
    send(model, { chosen: [layer, unit] });
    draw();
  }

  select.value = layer;
  select.addEventListener("change", () => choose(Number(select.value), 0));
  grid.addEventListener("click", (event) => {
    const [x, y] = pointedAt(grid, event), rows = Math.ceil(layers[layer].units.length / PER_ROW);
    choose(layer, Math.floor(y * rows) * PER_ROW + Math.min(Math.floor(x * PER_ROW), PER_ROW - 1));
  });
  onArrows(grid, (down, right) => choose(layer, unit + PER_ROW * down + right));

  root.append(
    h("div", { class: "cnn-row" }, h("label", {}, "Layer ", select)),
    h("div", { class: "cnn-panels" }, h("div", {}, grid), h("div", {}, h("h4", {}, "Made to excite it"), best)),
    h("h4", { style: "margin-top: 10px" }, "The images that excite it most, and what it sees of them"),
    images, status, hintLine(hint),
  );
  Promise.all([decoded(model.get("pool")), ...model.get("sprites").map(decoded)]).then(([first, ...rest]) => {
    [pool, sprites] = [first, rest];
    draw();
  });
}

export default { render };
