// What is wrong with a view as it stands in the page, in words: {layout, words}, both empty where nothing is.
(root) => {
  const LEAST_PICTURE = 120, LEAST_TEXT = 11, LEAST_CONTRAST = 4.5; // pixels, pixels, and WCAG for text
  const LEAST_GAP = 5; // between words that stand side by side
  const SHRUNK = 0.79; // a picture with words in it may be shown smaller by this much
  const [layout, words] = [[], []];
  const right = root.getBoundingClientRect().right - parseFloat(getComputedStyle(root).paddingRight);

  const components = (css) => {
    const srgb = css.startsWith("color(srgb");
    const [r, g, b, alpha = 1] = css.replace("color(srgb", "").match(/[\d.e-]+/g).map(Number);
    return [...[r, g, b].map((v) => (srgb ? 255 * v : v)), alpha];
  };
  const over = ([r, g, b, alpha], below) => [r, g, b].map((v, i) => alpha * v + (1 - alpha) * below[i]);
  const luminance = (colour) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
    const v = colour[i] / 255;
    return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  }, 0);
  function ground(node) {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(components(getComputedStyle(at).backgroundColor));
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255]);
  }
  function contrast(node) {
    let [r, g, b, alpha] = components(getComputedStyle(node).color);
    for (let at = node; at !== root.parentElement; at = at.parentElement) alpha *= Number(getComputedStyle(at).opacity);
    const below = ground(node);
    const [dark, light] = [below, over([r, g, b, alpha], below)].map(luminance).sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  }

  for (let at = root; at && !at.classList.contains("jp-Cell"); at = at.parentElement) {
    if (at.scrollWidth > at.clientWidth + 1) layout.push(`${at.className}: ${at.scrollWidth} pixels in ${at.clientWidth}`);
  }
  for (const node of root.querySelectorAll("*")) {
    if (!node.checkVisibility() || node.closest("option")) continue;
    const { overflowX } = getComputedStyle(node);
    if (overflowX !== "visible" && node.clientWidth && node.scrollWidth > node.clientWidth + 1 && !node.matches("input, select")) {
      layout.push(`${node.tagName} ${node.className} is cut: ${node.scrollWidth} pixels in ${node.clientWidth}`);
    }
    const box = node.getBoundingClientRect();
    if (box.width && box.right > right + 1) layout.push(`${node.tagName} ${node.className} is ${Math.round(box.right - right)} pixels too far right`);
    if (node.matches("img, canvas") && !node.parentElement.closest("[role=img]") && box.width < LEAST_PICTURE) {
      layout.push(`a picture is ${Math.round(box.width)} pixels wide`);
    }
    if (node.matches(".cnn-explore img") && box.width < SHRUNK * node.naturalWidth) {
      layout.push(`a picture of ${node.naturalWidth} pixels is shown with ${Math.round(box.width)}`);
    }
  }

  const texts = [];
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.textContent.trim(), parent = walk.currentNode.parentElement;
    if (!text || !parent.checkVisibility() || parent.closest("option")) continue;
    const size = parseFloat(getComputedStyle(parent).fontSize);
    if (size < LEAST_TEXT) words.push(`"${text}" is ${size} pixels high`);
    const ratio = contrast(parent);
    if (ratio < LEAST_CONTRAST) words.push(`"${text}" has a contrast of ${ratio.toFixed(2)}`);
    let block = parent;
    while (getComputedStyle(block).display === "inline") block = block.parentElement;
    const range = document.createRange();
    range.selectNodeContents(walk.currentNode);
    for (const box of range.getClientRects()) texts.push({ text, block, box });
  }
  for (const a of texts) {
    for (const b of texts) {
      const sameLine = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top) > 3;
      if (a.block !== b.block && sameLine && b.box.left >= a.box.left && b.box.left - a.box.right < LEAST_GAP) {
        layout.push(`"${a.text}" runs into "${b.text}"`);
      }
    }
  }
  return { layout, words: [...new Set(words)] };
}
