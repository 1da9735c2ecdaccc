// One picture and its controls. Python names the controls, draws the picture and sends it as PNG.

function makeControl(spec, value, onChange) {
  const id = uniqueId();
  if (spec.kind === "check") {
    const box = h("input", { type: "checkbox", id, "data-control": spec.name });
    box.checked = value;
    box.addEventListener("change", () => onChange(box.checked));
    return { nodes: [h("span"), h("label", { for: id, class: "cnn-check" }, box, spec.label)], set: (v) => { box.checked = v; } };
  }
  const label = h("label", { for: id }, spec.label);
  if (spec.kind === "choice") {
    const select = h("select", { id, "data-control": spec.name }, ...spec.options.map((o) => h("option", { value: o }, o)));
    select.value = value;
    select.addEventListener("change", () => onChange(select.value));
    return { nodes: [label, select], set: (v) => { select.value = v; } };
  }
  const show = (v) => written(Number(v), spec.digits);
  const shown = h("output", { for: id }, show(value));
  const slider = h("input", { type: "range", id, "data-control": spec.name, min: spec.low, max: spec.high, step: spec.step });
  slider.value = value;
  slider.addEventListener("input", () => {
    shown.textContent = show(slider.value);
    onChange(Number(slider.value));
  });
  return {
    nodes: [label, h("span", { class: "cnn-slider" }, slider, shown)],
    // While a student holds the slider, an answer to an older position must not pull it back.
    set: (v) => { if (document.activeElement !== slider) { slider.value = v; shown.textContent = show(v); } },
  };
}

function render({ model, el }) {
  const root = makeRoot(el, "explore", model.get("title") || "Interactive figure");
  const img = h("img", { alt: model.get("alt"), draggable: "false" });
  const error = h("p", { class: "cnn-error", role: "alert" });
  const grid = h("div", { class: "cnn-controls" });
  const controls = {};
  for (const spec of model.get("controls")) {
    const control = makeControl(spec, model.get("values")[spec.name], (value) => {
      send(model, { values: { ...model.get("values"), [spec.name]: value } });
    });
    controls[spec.name] = control;
    grid.append(...control.nodes);
  }
  if (model.get("title")) root.append(h("p", { class: "cnn-title" }, model.get("title")));
  root.append(grid, error, h("div", { class: "cnn-picture" }, img));
  const update = () => Object.entries(model.get("values")).forEach(([name, value]) => controls[name]?.set(value));
  model.on("change:values", update);
  const ends = [bindPicture(model, root, img, "png"), bindText(model, error, "error")];
  return () => {
    model.off("change:values", update);
    ends.forEach((end) => end());
  };
}

export default { render };
