"use strict";
// The planned and the delivered dose around the target, and their dose-volume histogram.

const DOSE_COLORS = [[18, 16, 40], [72, 30, 110], [150, 45, 110], [220, 80, 70], [248, 150, 60], [252, 240, 170]];

function doseColor(level) {
  const position = level * (DOSE_COLORS.length - 1), low = Math.min(Math.floor(position), DOSE_COLORS.length - 2);
  return DOSE_COLORS[low].map((from, i) => Math.round(from + (DOSE_COLORS[low + 1][i] - from) * (position - low)));
}

function drawDose(page) {
  const { dose } = page;
  for (const name of ["planned", "delivered"]) drawDoseImage(byId(name), dose, dose[name], page.spacing_mm);
  drawDoseScale(byId("dosescale"));
  byId("dvh").replaceChildren();
  const d98 = `D98 planned ${dose.planned_d98.toFixed(3)}, delivered ${dose.delivered_d98.toFixed(3)}`;
  lineChart(byId("dvh"), {
    title: "Dose-volume histogram of the target", unit: `against relative dose; ${d98}`, x: dose.levels, floor: 0, ceiling: 1, height: 160,
    series: [
      { name: "planned", color: LINE.truth, values: dose.planned_volume, dash: "4 3" },
      { name: "delivered", color: LINE.prediction, values: dose.delivered_volume },
    ],
  });
}

function drawDoseImage(canvas, dose, encoded, spacing) {
  const [height, width] = dose.size;
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const small = Object.assign(document.createElement("canvas"), { width, height });
  const image = new ImageData(width, height);
  bytes.forEach((value, i) => image.data.set([...doseColor(value / 255), 255], i * 4));
  small.getContext("2d").putImageData(image, 0, 0);
  const scale = Math.max(1, Math.ceil(480 / width)), scaleY = (scale * spacing[0]) / spacing[1];
  Object.assign(canvas, { width: width * scale, height: Math.round(height * scaleY) });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.setTransform(scale, 0, 0, -scaleY, 0, canvas.height);
  context.drawImage(small, 0, 0);
  context.translate(-dose.origin[1], -dose.origin[0]);
  context.beginPath();
  for (const line of dose.target) tracePath(context, line);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.strokeStyle = "#ffffff";
  context.lineWidth = 3;
  context.stroke();
}

function drawDoseScale(canvas) {
  const ratio = window.devicePixelRatio || 1, height = canvas.clientHeight;
  Object.assign(canvas, { width: 52 * ratio, height: height * ratio });
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  for (let y = 0; y < height; y++) {
    context.fillStyle = `rgb(${doseColor(1 - y / (height - 1))})`;
    context.fillRect(0, y, 16, 1);
  }
  context.fillStyle = "#66707f";
  context.font = "12px sans-serif";
  for (const level of [1, 0.5, 0]) {
    context.fillText(level.toFixed(1), 22, Math.min(height - 2, Math.max(11, (1 - level) * height + 4)));
  }
}
