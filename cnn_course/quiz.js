// Quick checks: judged here, so that the answer comes at once even while the kernel is busy.

const LETTERS = "ABCDEFGH";

function feedback() {
  return h("p", { class: "cnn-feedback", role: "status", "aria-live": "polite", hidden: true });
}

function say(node, right, text) {
  node.hidden = false;
  node.className = `cnn-feedback ${right ? "cnn-right" : "cnn-wrong"}`;
  node.replaceChildren(h("strong", {}, right ? "\u2713 Right. " : "\u2717 Not so. "), ...withCode(text));
}

function renderChoice(root, data) {
  const rows = data.options.map((option, i) => {
    const answer = feedback();
    const button = h("button", {
      type: "button", class: "cnn-option", "aria-pressed": "false",
      "aria-label": `Answer ${LETTERS[i]}: ${option.replaceAll("`", "")}`, // an option may be a bare number
    },
      h("span", { class: "cnn-letter", "aria-hidden": "true" }, LETTERS[i]), h("span", {}, ...withCode(option)));
    button.addEventListener("click", () => {
      rows.forEach((row) => row.button.setAttribute("aria-pressed", String(row.button === button)));
      button.classList.add(i === data.right ? "cnn-right" : "cnn-wrong");
      say(answer, i === data.right, data.why[i]);
      countPicture(root);
    });
    return { button, row: h("li", {}, button, answer) };
  });
  root.append(h("ol", { class: "cnn-options" }, ...rows.map((row) => row.row)));
  root.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const at = rows.findIndex((row) => row.button === document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    rows[(at + step + rows.length) % rows.length].button.focus();
  });
}

function readNumber(text) {
  const clean = text.trim().replace(/\u2212/g, "-").replace(/[\s,_']/g, "");
  const fraction = clean.match(/^([^/]+)\/([^/]+)$/);
  if (fraction) return Number(fraction[1]) / Number(fraction[2]);
  return clean === "" ? NaN : Number(clean);
}

function renderNumber(root, data) {
  const id = uniqueId();
  const input = h("input", { type: "text", inputmode: "decimal", id, autocomplete: "off", size: "14" });
  const answer = feedback();
  const near = (a, b, tolerance) => Math.abs(a - b) <= tolerance + 1e-9 * Math.abs(b);
  const row = h("div", { class: "cnn-row" },
    h("label", { for: id }, "Your answer"), input, data.unit ? h("span", {}, data.unit) : null,
    h("button", { type: "button", onclick: check }, "Check"),
    h("button", { type: "button", onclick: () => {
      say(answer, true, data.why);
      answer.firstChild.textContent = `The answer is ${data.shown}. `;
      countPicture(root);
    } }, "Show the answer"));
  function check() {
    const given = readNumber(input.value);
    input.setAttribute("aria-invalid", String(!Number.isFinite(given)));
    const mistake = data.mistakes.find(([wrong]) => near(given, wrong, 0));
    if (!Number.isFinite(given)) {
      say(answer, false, "That is not a number. Write it like 1234, 0.5, 3/4 or 1e6.");
      answer.firstChild.textContent = "";
    } else if (near(given, data.answer, data.tolerance)) say(answer, true, data.why);
    else say(answer, false, mistake ? mistake[1] : given < data.answer ? "It is more than that." : "It is less than that.");
    countPicture(root);
  }
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") check(); });
  root.append(row, answer);
}

// The same kinds as KINDS of quiz.py: what each needs below its question.
const KINDS = { choice: renderChoice, number: renderNumber };

function render({ model, el }) {
  const data = model.get("data");
  const root = makeRoot(el, "quiz", "Quick check", data.question.replaceAll("`", ""));
  root.append(h("p", { class: "cnn-question" }, h("strong", {}, "Quick check. "), ...withCode(data.question)));
  if (Object.hasOwn(KINDS, data.kind)) KINDS[data.kind](root, data);
  else root.append(h("p", { class: "cnn-error", role: "alert" },
    `This quick check is of the kind \u201c${data.kind}\u201d, which quiz.js cannot show: it knows ${Object.keys(KINDS).join(", ")}.`));
}

export default { render };
