"use strict";
// Plain SVG line charts and strips of dots.

function svgElement(name, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.appendChild(element);
  return element;
}

function htmlElement(name, text, parent, className) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  if (parent) parent.appendChild(element);
  return element;
}

const isNumber = (value) => typeof value === "number";

// About `count` round steps that span low to high.
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const first = Math.ceil(low / step - 1e-9) * step;
  const result = [];
  for (let value = first; value <= high + step * 1e-6; value += step) result.push(Math.abs(value) < step / 1e6 ? 0 : value);
  return { values: result, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

// options: title, unit, height, x (all series' positions), series [{name, color, values, x?, dash?}],
// band {x, low, high}, gaps [[from, to], ...] shaded, bars [[from, to], ...] along the bottom, floor and ceiling (y limits at least to reach), onSeek(x), xUnit.
// Returns {setCursor(x)}. Redraws itself when its width changes.
function lineChart(host, options) {
  const box = htmlElement("div", undefined, host, "chart");
  const heading = htmlElement("h3", options.title + " ", box);
  if (options.unit) htmlElement("span", options.unit, heading);
  const height = options.height || 128;
  const margin = { left: 46, right: 18, top: 8, bottom: 20 };
  const all = options.series.flatMap((one) => one.values).concat(options.band ? [...options.band.low, ...options.band.high] : []);
  const values = all.filter(isNumber);
  let low = Math.min(...values, options.floor ?? Infinity);
  let high = Math.max(...values, options.ceiling ?? -Infinity);
  if (!isFinite(low)) [low, high] = [0, 1];
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  if (options.floor === undefined || low < options.floor) low -= room;
  if (options.ceiling === undefined || high > options.ceiling) high += room;
  const positions = options.series.flatMap((one) => one.x || options.x);
  const start = Math.min(...positions), end = Math.max(...positions, start + 1e-9);
  let svg, cursor, toX, width, at = null;

  function draw() {
    width = Math.max(200, box.clientWidth - 24);
    toX = (x) => margin.left + ((x - start) / (end - start)) * (width - margin.left - margin.right);
    const toY = (y) => height - margin.bottom - ((y - low) / (high - low)) * (height - margin.top - margin.bottom);
    if (svg) svg.remove();
    svg = svgElement("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": options.title }, box);
    for (const [from, to] of options.gaps || []) {
      const left = toX(from);
      svgElement("rect", { class: "gap", x: left, y: margin.top, width: Math.max(2, toX(to) - left), height: height - margin.top - margin.bottom }, svg);
    }
    for (const [from, to] of options.bars || []) {
      svgElement("rect", { class: "beam", x: toX(from), y: height - margin.bottom - 7, width: Math.max(1, toX(to) - toX(from)), height: 7 }, svg);
    }
    const vertical = ticks(low, high, height > 140 ? 6 : 4);
    for (const y of vertical.values) {
      svgElement("line", { class: "grid", x1: margin.left, x2: width - margin.right, y1: toY(y), y2: toY(y) }, svg);
      const text = svgElement("text", { x: margin.left - 6, y: toY(y) + 4, "text-anchor": "end" }, svg);
      text.textContent = y.toFixed(vertical.decimals);
    }
    const horizontal = ticks(start, end, Math.max(3, width / 110));
    horizontal.values.forEach((x, index) => {
      const last = index === horizontal.values.length - 1;
      const text = svgElement("text", { x: toX(x), y: height - 5, "text-anchor": "middle" }, svg);
      text.textContent = x.toFixed(horizontal.decimals) + (last && options.xUnit ? " " + options.xUnit : "");
    });
    if (options.band) {
      const points = (xs, ys) => xs.map((x, i) => (isNumber(ys[i]) ? `${toX(x).toFixed(1)},${toY(ys[i]).toFixed(1)}` : null)).filter(Boolean);
      const { x } = options.band;
      const outline = points(x, options.band.high).concat(points(x, options.band.low).reverse());
      if (outline.length) svgElement("path", { class: "band", d: "M" + outline.join("L") + "Z" }, svg);
    }
    for (const one of options.series) {
      const xs = one.x || options.x;
      let d = "", open = false;
      one.values.forEach((y, i) => {
        if (!isNumber(y)) { open = false; return; }
        d += `${open ? "L" : "M"}${toX(xs[i]).toFixed(1)},${toY(y).toFixed(1)}`;
        open = true;
      });
      const path = svgElement("path", { d, stroke: one.color, "data-series": one.name }, svg);
      if (one.dash) path.setAttribute("stroke-dasharray", one.dash);
    }
    cursor = options.onSeek ? svgElement("line", { class: "cursor", y1: margin.top, y2: height - margin.bottom, visibility: "hidden" }, svg) : null;
    if (at !== null) setCursor(at);
    if (options.onSeek) {
      const seek = (event) => {
        const bounds = svg.getBoundingClientRect();
        const across = ((event.clientX - bounds.left) / bounds.width) * width;
        options.onSeek(start + ((across - margin.left) / (width - margin.left - margin.right)) * (end - start));
      };
      svg.addEventListener("pointerdown", seek);
      svg.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });
    }
  }

  function setCursor(x) {
    at = x;
    if (!cursor) return;
    cursor.setAttribute("x1", toX(x));
    cursor.setAttribute("x2", toX(x));
    cursor.setAttribute("visibility", "visible");
  }

  draw();
  new ResizeObserver(() => { if (Math.abs(Math.max(200, box.clientWidth - 24) - width) > 1) draw(); }).observe(box);
  return { setCursor };
}

// One dot a case along a line; the mean as a stroke, people's range as a band.
function dotStrip(host, points, mean, people, onPick) {
  const width = 240, height = 34, left = 8, right = width - 8;
  const values = points.map((point) => point.value).concat(people || []);
  let low = Math.min(...values), high = Math.max(...values);
  if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
  const toX = (value) => left + ((value - low) / (high - low)) * (right - left);
  const svg = svgElement("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%" }, host);
  if (people) {
    const from = toX(Math.min(...people)), to = toX(Math.max(...people));
    svgElement("rect", { class: "peopleband", x: from - 2, width: to - from + 4, y: 2, height: 18, rx: 3 }, svg);
  }
  svgElement("line", { class: "axis", x1: left, x2: right, y1: 11, y2: 11 }, svg);
  for (const point of points) {
    const dot = svgElement("circle", { cx: toX(point.value), cy: 11, r: 4.5 }, svg);
    svgElement("title", {}, dot).textContent = `${point.name}: ${point.text}`;
    dot.addEventListener("click", () => onPick(point.name));
  }
  svgElement("line", { class: "mean", x1: toX(mean), x2: toX(mean), y1: 2, y2: 20 }, svg);
  for (const [value, anchor, x] of [[low, "start", left], [high, "end", right]]) {
    svgElement("text", { x, y: 32, "text-anchor": anchor }, svg).textContent = value.toPrecision(3);
  }
}
