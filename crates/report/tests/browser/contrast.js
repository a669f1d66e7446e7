// Texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3), one a line.
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [lr, lg, lb] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * lr + 0.7152 * lg + 0.0722 * lb;
  };
  const behind = (e) => {
    if (!e) return [255, 255, 255, 255];
    const [r, g, b, a] = rgba(getComputedStyle(e).backgroundColor);
    if (a === 255) return [r, g, b, a];
    const under = behind(e.parentElement);
    return a === 0 ? under : [...[r, g, b].map((c, i) => (c * a + under[i] * (255 - a)) / 255), 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const e = text.parentElement;
    if (text.textContent.trim() === "" || ["SCRIPT", "STYLE", "NOSCRIPT", "OPTION"].includes(e.tagName) || !e.checkVisibility()) continue;
    texts++;
    const style = getComputedStyle(e);
    const colour = rgba(e instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [luminance(colour), luminance(behind(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(`${contrast.toFixed(2)} ${e.tagName}.${e.getAttribute("class")}: ${text.textContent.slice(0, 40)}`);
  }
  if (texts < 200) faint.push(`only ${texts} texts were looked at`);
  return [...new Set(faint)].join("\n");
})()
