// Click a unit: the image made for it, the images that excite it most, and what it sees of them. Python made every
// picture beforehand; the browser only cuts them out.

const TILE = 44, GAP = 4, BIG = 84;

function render({ model, el }) {
  const root = makeRoot(el, "unit-browser", "Units and what excites them");
  const [height, width] = model.get("size");
  const layers = model.get("layers"), PER_ROW = model.get("per_row");
  let [layer, unit] = model.get("chosen");
  let sprites = [], pool = null;

  const select = h("select", { "data-control": "layer", "aria-label": "layer" },
    ...layers.map((one, i) => h("option", { value: i }, one.name)));
  const grid = h("canvas", { tabindex: "0", role: "img", "data-control": "units" });
  const detail = h("canvas", { role: "img", "data-control": "detail" });
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

    const wide = BIG + 8;
    const side = prepare(detail, Math.max(3, top.length) * wide, 3 * wide + 60);
    side.font = "13px system-ui, sans-serif";
    side.fillStyle = getComputedStyle(root).color;
    const say = (text, y) => side.fillText(text, 0, y);
    say("made to excite it", 13);
    tile(side, sprites[layer], unit, 0, 20, BIG, BIG);
    say("the images that excite it most, and what it sees of them", wide + 33);
    top.forEach(({ image, box }, n) => {
      const x = n * wide, y = wide + 40;
      tile(side, pool, image, x, y, BIG, BIG);
      side.save();
      side.beginPath();
      side.rect(x, y, BIG, BIG);
      side.clip();
      frame(side, x + (box[1] / width) * BIG, y + (box[0] / height) * BIG, (box[3] / width) * BIG, (box[2] / height) * BIG);
      side.restore();
      side.fillStyle = COLOURS.LINE_ON_ANY;
      side.fillRect(x, y + wide, BIG, BIG);
      tile(side, pool, image, x, y + wide, BIG, BIG, box);
    });
    const values = top.map((entry) => written(entry.value, 1)).join(", ");
    const dead = top[0].value === 0 ? " No image excites it." : "";
    status.textContent = `Unit ${unit} of ${units.length} in ${name}. Its strongest answers: ${values}.${dead}`;
    grid.setAttribute("aria-label", `${status.textContent} Arrow keys choose another unit.`);
    detail.setAttribute("aria-label", `The image made for unit ${unit} and the ${top.length} images that excite it most.`);
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
    const box = grid.getBoundingClientRect(), scale = (PER_ROW * (TILE + GAP)) / box.width;
    const [column, row] = [event.clientX - box.left, event.clientY - box.top].map((v) => Math.floor((v * scale) / (TILE + GAP)));
    choose(layer, row * PER_ROW + Math.min(column, PER_ROW - 1));
  });
  const MOVES = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: PER_ROW, ArrowUp: -PER_ROW };
  grid.addEventListener("keydown", (event) => {
    if (!(event.key in MOVES)) return;
    event.preventDefault();
    event.stopPropagation();
    choose(layer, unit + MOVES[event.key]);
  });

  root.append(
    h("div", { class: "cnn-row" }, h("label", {}, "Layer ", select)),
    h("div", { class: "cnn-panels" }, h("div", {}, grid), h("div", {}, detail)),
    status,
    h("p", { class: "cnn-hint" }, "Click a unit, or use the arrow keys."),
  );
  Promise.all([decoded(model.get("pool")), ...model.get("sprites").map(decoded)]).then(([first, ...rest]) => {
    [pool, sprites] = [first, rest];
    draw();
  });
}

export default { render };
