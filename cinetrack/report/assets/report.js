"use strict";
// The overview's table and the page of a case. The address after # names the case: "#case=A_001".

const overview = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const count = `${overview.rows.length} ${overview.rows.length === 1 ? "case" : "cases"}`;
const hasTruth = overview.rows.some((row) => row.scores);
const LINE = { truth: "#0a8f6c", prediction: "#d9480f", observer: "#7048b8" };
const lineColor = (name) => LINE[name] || LINE.observer;

// Columns of the table; "worst" says which end of the values is bad, and is what a first click sorts to the top.
const COLUMNS = [
  ...(hasTruth ? overview.metrics.map((metric) => ({
    key: metric.key, title: metric.label + (metric.unit ? ` [${metric.unit}]` : ""), decimals: metric.decimals,
    worst: metric.higher_is_better ? "low" : "high", value: (row) => row.scores?.[metric.key],
  })) : []),
  { key: "empty", title: "Empty frames", decimals: 0, worst: "high", value: (row) => row.summary.empty },
  { key: "lowest_score", title: "Lowest score", decimals: 2, worst: "low", value: (row) => row.summary.lowest_score },
  { key: "si", title: "SI range [mm]", decimals: 1, worst: "high", value: (row) => row.summary.si_range_mm },
  { key: "frames", title: "Frames", decimals: 0, worst: "high", value: (row) => row.frames },
  { key: "time", title: "s/frame", decimals: 3, worst: "high", value: (row) => row.summary.seconds_a_frame },
].filter((column) => overview.rows.some((row) => isNumber(column.value(row))));
const TEXT_COLUMNS = [
  { key: "id", title: "Case", value: (row) => row.id },
  { key: "region", title: "Region", value: (row) => row.facts.region },
  { key: "field", title: "Field", value: (row) => (row.facts.field_strength_t ? `${row.facts.field_strength_t} T` : null) },
].filter((column) => overview.rows.some((row) => column.value(row)));

let sorting = { column: COLUMNS[0], worstFirst: true };

function sortedRows() {
  const { column, worstFirst } = sorting;
  const rows = [...overview.rows];
  if (!column.worst) {
    return rows.sort((a, b) => String(column.value(a) ?? "").localeCompare(String(column.value(b) ?? "")) * (worstFirst ? 1 : -1));
  }
  const sign = (column.worst === "low" ? 1 : -1) * (worstFirst ? 1 : -1);
  return rows.sort((a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    if (!isNumber(x) || !isNumber(y)) return isNumber(y) - isNumber(x);  // unknown comes last
    return (x - y) * sign || a.id.localeCompare(b.id);
  });
}

function drawTable() {
  const head = byId("cases").tHead, body = byId("cases").tBodies[0];
  head.replaceChildren();
  body.replaceChildren();
  const line = head.insertRow();
  for (const column of [TEXT_COLUMNS[0], ...COLUMNS, ...TEXT_COLUMNS.slice(1)]) {
    const cell = htmlElement("th", undefined, line, column.worst ? "" : "text");
    const button = htmlElement("button", column.title, cell);
    button.dataset.column = column.key;
    if (column === sorting.column) {
      const rising = column.worst ? (column.worst === "low") === sorting.worstFirst : sorting.worstFirst;
      cell.setAttribute("aria-sort", rising ? "ascending" : "descending");
    }
    button.onclick = () => {
      sorting = { column, worstFirst: column === sorting.column ? !sorting.worstFirst : true };
      drawTable();
    };
  }
  const shades = new Map(COLUMNS.map((column) => [column, shader(column)]));
  for (const row of sortedRows()) {
    const tr = body.insertRow();
    tr.onclick = () => { location.hash = `case=${encodeURIComponent(row.id)}`; };
    const link = htmlElement("a", row.id, tr.insertCell());
    link.href = `#case=${encodeURIComponent(row.id)}`;
    for (const column of COLUMNS) {
      const value = column.value(row);
      const cell = htmlElement("td", isNumber(value) ? value.toFixed(column.decimals) : "–", tr);
      cell.style.background = shades.get(column)(value);
    }
    for (const column of TEXT_COLUMNS.slice(1)) htmlElement("td", column.value(row) ?? "–", tr, "text");
  }
  byId("tablehint").textContent = `${count}. Click a column to sort its worst values to the top, a row to watch the case.`;
}

// Metrics are shaded from nothing at the median to orange at the worst value.
function shader(column) {
  const metric = overview.metrics.some((one) => one.key === column.key);
  const values = overview.rows.map(column.value).filter(isNumber).sort((a, b) => a - b);
  const middle = values[Math.floor(values.length / 2)], worst = column.worst === "low" ? values[0] : values.at(-1);
  return (value) => {
    if (!metric || !isNumber(value) || worst === middle) return "";
    const share = Math.max(0, Math.min(1, (value - middle) / (worst - middle)));
    return share > 0.02 ? `rgba(217, 72, 15, ${(share * 0.3).toFixed(3)})` : "";
  };
}

function average(values) { return values.reduce((sum, value) => sum + value, 0) / values.length; }

function drawCards() {
  for (const metric of overview.metrics) {
    const points = overview.rows.filter((row) => isNumber(row.scores?.[metric.key]))
      .map((row) => ({ name: row.id, value: row.scores[metric.key], text: row.scores[metric.key].toFixed(metric.decimals) }));
    if (!points.length) continue;
    const card = htmlElement("div", undefined, byId("cards"), "card");
    card.title = metric.meaning;
    htmlElement("div", metric.label, card, "label");
    const mean = average(points.map((point) => point.value));
    const value = htmlElement("div", mean.toFixed(metric.decimals), card, "value");
    if (metric.unit) htmlElement("small", ` ${metric.unit}`, value);
    const observed = overview.rows.filter((row) => row.observer_scores?.length);
    const people = observed.flatMap((row) => row.observer_scores.map((scores) => scores[metric.key])).filter(isNumber);
    const text = people.length ? `people ${average(people).toFixed(metric.decimals)} (${observed.length} cases)` : "";
    htmlElement("div", text, card, "people");
    dotStrip(card, points, mean, people.length ? people : null, (id) => { location.hash = `case=${encodeURIComponent(id)}`; });
  }
}

const player = new Player(byId("view"), onFrame);
let cursors = [], times = null, scoredAt = null;

window.showCase = (page) => {
  if (page.id !== requestedCase()) return;  // another case was asked for while this one loaded
  byId("overview").hidden = true;
  byId("case").hidden = false;
  const rate = page.facts.frame_rate_hz;
  times = Array.from({ length: page.frames }, (_, frame) => (rate ? frame / rate : frame));
  scoredAt = page.scored ? new Map(page.scored.frame.map((frame, i) => [frame, i])) : null;
  byId("casename").textContent = page.id;
  const { region, field_strength_t: field, tracker, bundle } = page.facts;
  byId("casefacts").textContent = [region, field && `${field} T`, rate ? `${rate} Hz` : "frame rate unknown, shown at 4 Hz",
    `${page.frames} frames of ${page.size[0]} × ${page.size[1]} px`, tracker, bundle].filter(Boolean).join(" · ");
  const order = sortedRows().map((row) => row.id), place = order.indexOf(page.id);
  for (const [id, other] of [["previous", order[place - 1]], ["next", order[place + 1]]]) {
    if (other) byId(id).href = `#case=${encodeURIComponent(other)}`; else byId(id).removeAttribute("href");
  }
  byId("scrub").max = page.shown.length - 1;
  player.open(page);
  drawLayers(page);
  drawScores(page);
  drawPlots(page, rate);
  byId("dose").hidden = !page.dose;
  if (page.dose) drawDose(page);
  player.show(0);
};

function onFrame(frame, index) {
  byId("scrub").value = index;
  byId("play").textContent = player.playing ? "Pause" : "Play";
  for (const cursor of cursors) cursor.setCursor(times[frame]);
  const page = player.page;
  const parts = [`frame ${frame} of ${page.frames - 1}`];
  if (page.facts.frame_rate_hz) parts.push(`${times[frame].toFixed(2)} s`);
  if (scoredAt) {
    const at = scoredAt.get(frame);
    const say = (label, key, digits, unit) => parts.push(`${label} ${page.scored[key][at]?.toFixed(digits) ?? "–"}${unit}`);
    if (at === undefined) parts.push("no true mask");
    else {
      say("DSC", "dice_similarity_coefficient", 3, "");
      say("HD95", "hausdorff_distance_95_mm", 1, " mm");
      say("centre", "center_distance_mm", 1, " mm");
    }
  }
  if (!page.traces.prediction.area[frame]) parts.push("prediction empty");
  byId("readout").textContent = parts.join(" · ");
}

function drawLayers(page) {
  const host = byId("layers");
  host.replaceChildren();
  const toggle = (text, color, checked, change) => {
    const label = htmlElement("label", undefined, host);
    const input = htmlElement("input", undefined, label);
    Object.assign(input, { type: "checkbox", checked });
    if (color) htmlElement("span", undefined, label, "swatch").style.background = color;
    htmlElement("span", text, label);
    input.onchange = () => { change(input.checked); player.draw(); };
  };
  for (const name of Object.keys(page.outlines)) {
    toggle(name, colorOf(name), true, (on) => { on ? player.hidden.delete(name) : player.hidden.add(name); });
  }
  toggle("zoom to target", null, false, (on) => { player.zoomed = on; });
}

function drawScores(page) {
  const host = byId("casescores");
  host.replaceChildren();
  for (const metric of page.scores ? overview.metrics : []) {
    const tile = htmlElement("div", undefined, host);
    const say = (value, decimals) => (isNumber(value) ? value.toFixed(decimals) : "–");
    htmlElement("b", say(page.scores[metric.key], metric.decimals), tile);
    htmlElement("span", metric.label + (metric.unit ? ` [${metric.unit}]` : ""), tile);
    const people = page.observer_scores.map((scores) => scores[metric.key]).filter(isNumber);
    const range = [Math.min(...people), Math.max(...people)].map((value) => say(value, Math.min(3, metric.decimals)));
    if (people.length) htmlElement("span", "people " + [...new Set(range)].join("–"), tile, "people");
  }
}

function drawPlots(page, rate) {
  const host = byId("plots");
  host.replaceChildren();
  cursors = [];
  const missed = page.traces.prediction.area.map((area) => area === 0);
  const gaps = spans(missed).map(([from, to]) => [times[from], times[to]]);
  drawLegend(page, gaps.length > 0);
  const onSeek = (x) => {
    player.pause();
    player.show(nearest(page.shown, rate ? x * rate : x));
  };
  const chart = (options) => cursors.push(lineChart(host, { x: times, xUnit: rate ? "s" : "frame", onSeek, gaps, ...options }));
  const traces = (key) => Object.entries(page.traces).reverse().map(([name, trace]) => ({
    name, color: lineColor(name), dash: name.startsWith("observer") ? "3 3" : "",
    values: name === "prediction" ? trace[key].map((value, frame) => (missed[frame] ? null : value)) : trace[key],
  }));
  chart({ title: "Centroid, superior–inferior", unit: "mm, up is towards the head", series: traces("si"), height: 170 });
  chart({ title: "Centroid, anterior–posterior", unit: "mm along the image's columns", series: traces("ap") });
  if (page.scored) {
    const { frame: frames } = page.scored, x = frames.map((frame) => times[frame]);
    // The penalty of an empty prediction would flatten everything else: the frame is shaded instead.
    const metric = (title, unit, key, limits) => chart({
      title, unit, ...limits,
      series: [{ name: "prediction", color: LINE.prediction, x, values: page.scored[key].map((value, i) => (missed[frames[i]] ? null : value)) }],
      band: page.band && { x, low: page.band[key][0], high: page.band[key][1] },
    });
    metric("Dice", "", "dice_similarity_coefficient", { ceiling: 1 });
    metric("HD95", "mm", "hausdorff_distance_95_mm", { floor: 0 });
    metric("Centre distance", "mm", "center_distance_mm", { floor: 0 });
  }
  chart({ title: "Area", unit: "cm²", series: traces("area"), floor: 0 });
  if (page.object_score) {
    const series = [{ name: "prediction", color: LINE.prediction, values: page.object_score, x: times.slice(0, page.object_score.length) }];
    chart({ title: "Tracker's object score", unit: "logit, below 0: target not seen", series });
  }
  drawGate(page, chart, host);
}

function drawLegend(page, anyMissed) {
  const host = byId("legend");
  host.replaceChildren();
  const entry = (text, style, className) => {
    const item = htmlElement("span", undefined, host);
    htmlElement("i", undefined, item, "swatch " + (className || "")).style.background = style;
    htmlElement("span", text, item);
  };
  if (page.traces.truth) entry("truth", LINE.truth);
  entry("prediction", LINE.prediction);
  if (page.band) entry("other observers: dotted, and a band from the best to the worst", LINE.observer);
  if (anyMissed) entry("prediction empty", "", "block");
}

// First and one-past-last index (at most the last) of each run of true values.
function spans(flags) {
  const found = [];
  flags.forEach((flag, i) => {
    if (flag && !flags[i - 1]) found.push([i, i]);
    if (flag) found.at(-1)[1] = Math.min(i + 1, flags.length - 1);
  });
  return found;
}

function nearest(sorted, wanted) {
  let best = 0;
  sorted.forEach((value, i) => { if (Math.abs(value - wanted) < Math.abs(sorted[best] - wanted)) best = i; });
  return best;
}

byId("play").onclick = () => {
  if (player.playing) { player.pause(); player.show(player.index); } else player.play(() => Number(byId("speed").value));
};
byId("view").onclick = () => byId("play").click();
byId("scrub").oninput = (event) => { player.pause(); player.show(Number(event.target.value)); };
document.addEventListener("keydown", (event) => {
  if (byId("case").hidden || ["SELECT", "INPUT", "BUTTON"].includes(event.target.tagName)) return;
  if (event.key === " ") byId("play").click();
  else if (event.key === "ArrowRight") { player.pause(); player.show(player.index + 1); }
  else if (event.key === "ArrowLeft") { player.pause(); player.show(player.index - 1); }
  else return;
  event.preventDefault();
});

function requestedCase() {
  const found = /^#case=(.+)$/.exec(location.hash);
  return found ? decodeURIComponent(found[1]) : null;
}

function route() {
  const id = requestedCase();
  byId("problem").hidden = true;
  player.pause();
  if (!id) {
    byId("case").hidden = true;
    byId("overview").hidden = false;
    drawTable();
    return;
  }
  const script = document.createElement("script");
  script.src = `cases/${encodeURIComponent(id)}.js`;
  script.onload = () => script.remove();
  script.onerror = () => {
    byId("problem").hidden = false;
    byId("problem").textContent = `The data of case ${id} (cases/${id}.js beside this page) could not be read.`;
  };
  document.body.append(script);
  scrollTo(0, 0);
}

byId("subtitle").textContent = `${overview.title} · ${count} · version ${overview.version}`;
document.title = `${overview.title} – CineTrack report`;
drawCards();
for (const failure of overview.failures) {
  byId("failures").hidden = false;
  htmlElement("li", `${failure.case_id}: ${failure.error}`, byId("failures").querySelector("ul"));
}
window.addEventListener("hashchange", route);
route();
