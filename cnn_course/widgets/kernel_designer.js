// Nine numbers, a photograph, and what they make of it. Python reads the numbers, filters and sends the picture.

function render({ model, el }) {
  const hint = "Type a number or a fraction like 1/9; the up and down keys change it by 1, with Shift by 0.1.";
  const root = makeRoot(el, "kernel-designer", "Kernel designer", model.get("alt"), hint);
  const ends = [];

  const cells = Array.from({ length: 9 }, (_, i) => {
    const cell = h("input", {
      type: "text", inputmode: "decimal", autocomplete: "off", "data-control": `cell-${i}`,
      "aria-label": `kernel row ${Math.floor(i / 3) + 1}, column ${(i % 3) + 1}`,
    });
    cell.addEventListener("input", () => send(model, { cells: cells.map((c) => c.value) }));
    cell.addEventListener("focus", () => cell.select());
    cell.addEventListener("keydown", (event) => {
      // Up and down change the number as in a spinner; Enter goes to the next cell.
      const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      const value = Number(cell.value.replace("\u2212", "-").replace(",", "."));
      if (by && Number.isFinite(value)) {
        event.preventDefault();
        cell.value = String(Number((value + by * (event.shiftKey ? 0.1 : 1)).toFixed(4)));
        send(model, { cells: cells.map((c) => c.value) });
      } else if (event.key === "Enter") {
        event.preventDefault();
        cells[(i + 1) % 9].focus();
      }
    });
    return cell;
  });

  const keep = (trait, update) => ends.push(follow(model, trait, update));

  function list(label, trait, optionsTrait) {
    const id = uniqueId();
    const select = h("select", { id, "data-control": trait },
      ...model.get(optionsTrait).map((name) => h("option", { value: name }, name)));
    select.addEventListener("change", () => send(model, { [trait]: select.value }));
    keep(trait, () => { select.value = model.get(trait); });
    return h("span", { class: "cnn-field" }, h("label", { for: id }, label), select);
  }

  const normalise = h("input", { type: "checkbox", "data-control": "normalise" });
  normalise.addEventListener("change", () => send(model, { normalise: normalise.checked }));
  keep("normalise", () => { normalise.checked = model.get("normalise"); });
  keep("cells", () => model.get("cells").forEach((text, i) => {
    // What is being typed is left alone: "1." must not turn into "1".
    if (cells[i].value !== text && (document.activeElement !== cells[i] || model.get("preset") !== "your own")) cells[i].value = text;
  }));
  keep("bad", () => cells.forEach((cell, i) => cell.setAttribute("aria-invalid", String(model.get("bad").includes(i)))));

  const original = h("img", { draggable: "false" });
  const result = h("img", { draggable: "false" });
  keep("photograph", () => {
    original.alt = `the photograph ${model.get("photograph")} before filtering`;
    result.alt = `the photograph ${model.get("photograph")} after filtering`;
  });
  const summary = h("p", { class: "cnn-summary", role: "status" });
  const error = h("p", { class: "cnn-error", role: "alert" });
  const shownAs = h("figcaption");
  keep("shown_as", () => { shownAs.textContent = `Result, ${model.get("shown_as")}`; });
  const uncounted = { dataset: { pictures: "0" } };
  ends.push(bindPicture(model, uncounted, original, "original"), bindPicture(model, root, result, "result"));
  ends.push(bindText(model, summary, "summary"), bindText(model, error, "error"));

  root.append(
    h("div", { class: "cnn-row" },
      list("Photograph", "photograph", "photographs"), list("Kernel", "preset", "presets"), list("Show", "mode", "modes")),
    h("div", { class: "cnn-panels cnn-even" },
      h("figure", {}, h("figcaption", {}, "Original"), h("div", { class: "cnn-picture" }, original)),
      h("div", { class: "cnn-panel cnn-nine", role: "group", "aria-label": "the nine numbers of the kernel" },
        h("h4", {}, "Kernel"), h("div", { class: "cnn-cells" }, ...cells),
        h("label", { class: "cnn-check" }, normalise, "divide by the sum")),
      h("figure", {}, shownAs, h("div", { class: "cnn-picture" }, result))),
    summary, error,
    hintLine(hint),
  );
  return () => ends.forEach((end) => end());
}

export default { render };
