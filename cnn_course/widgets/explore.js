// One picture and its controls. Python names the controls, draws the picture and sends it as PNG.

const FRAME = 6; // pixels of padding around the picture, as in views.css

function makeControl(spec, value, onChange) {
  const id = uniqueId();
  if (spec.kind === "check") {
    const box = h("input", { type: "checkbox", id, "data-control": spec.name });
    box.checked = value;
    box.addEventListener("change", () => onChange(box.checked));
    return { nodes: [h("span"), h("label", { for: id, class: "cnn-check" }, box, spec.label)], set: (v) => { box.checked = v; }, show: (v) => (v ? "yes" : "no") };
  }
  const label = h("label", { for: id }, spec.label);
  if (spec.kind === "choice") {
    const select = h("select", { id, "data-control": spec.name }, ...spec.options.map((o) => h("option", { value: o }, o)));
    select.value = value;
    select.addEventListener("change", () => onChange(select.value));
    return { nodes: [label, select], set: (v) => { select.value = v; }, show: String };
  }
  const show = (v) => written(Number(v), spec.digits);
  const shown = h("output", { for: id, "aria-live": "off" }, show(value));
  const slider = h("input", {
    type: "range", id, "data-control": spec.name, min: spec.low, max: spec.high, step: spec.step,
    "aria-label": `${spec.label}, from ${show(spec.low)} to ${show(spec.high)}`, // the label alone is often one letter
  });
  slider.value = value;
  slider.addEventListener("input", () => {
    shown.textContent = show(slider.value);
    onChange(Number(slider.value));
  });
  return {
    nodes: [label, h("span", { class: "cnn-slider" }, slider, shown)],
    // While a student holds the slider, an answer to an older position must not pull it back.
    set: (v) => { if (document.activeElement !== slider) { slider.value = v; shown.textContent = show(v); } },
    show,
  };
}

function render({ model, el }) {
  const specs = model.get("controls");
  const root = makeRoot(el, "explore", model.get("title") || `Interactive figure: ${specs.map((spec) => spec.label).join(", ")}`,
    model.get("alt"), "Its controls are moved with the arrow keys and Space; the picture follows.");
  const img = h("img", { draggable: "false" });
  const error = h("p", { class: "cnn-error", role: "alert" });
  const grid = h("div", { class: "cnn-controls" });
  const controls = {};
  for (const spec of specs) {
    const control = makeControl(spec, model.get("values")[spec.name], (value) => {
      send(model, { values: { ...model.get("values"), [spec.name]: value } });
    });
    controls[spec.name] = control;
    grid.append(...control.nodes);
  }
  if (model.get("title")) root.append(h("p", { class: "cnn-title" }, model.get("title")));
  root.append(grid, error, h("div", { class: "cnn-picture" }, img));
  const update = () => {
    const values = Object.entries(model.get("values"));
    values.forEach(([name, value]) => controls[name]?.set(value));
    const now = values.map(([name, value]) => `${name.replaceAll("_", " ")} ${controls[name]?.show(value)}`);
    img.alt = `${model.get("alt")} Here: ${now.join(", ")}.`;
  };
  // Words of a picture that is only shown smaller cannot be read: Python draws it anew for the room that there is.
  const sized = new ResizeObserver(([{ contentRect }]) => {
    const width = Math.floor(contentRect.width) - 2 * FRAME;
    const room = width < model.get("least") ? width : 0;
    if (width > 0 && room !== model.get("room")) send(model, { room });
  });
  sized.observe(root);
  const ends = [
    follow(model, "values", update), bindPicture(model, root, img, "png"), bindText(model, error, "error"),
    () => sized.disconnect(),
  ];
  return () => ends.forEach((end) => end());
}

export default { render };
