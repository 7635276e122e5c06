"use strict";
// Draws a case's frames with outlines and plays them at the rate they were taken.
// Row 0 of the images is the patient's feet side, so everything is drawn upside down: the head is up.

const COLORS = { truth: "#2fe0b0", prediction: "#ff8a3d", observer: "#c4a5ff" };
const colorOf = (name) => COLORS[name] || COLORS.observer;

class Player {
  constructor(canvas, onFrame) {
    this.canvas = canvas;
    this.onFrame = onFrame;
    this.page = null;
    this.playing = false;
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  open(page) {
    this.pause();
    this.page = page;
    this.index = 0;
    this.hidden = new Set();
    this.zoomed = false;
    this.window = targetWindow(page);
    this.rate = (page.facts.frame_rate_hz || 4) / (page.shown.length > 1 ? page.shown[1] - page.shown[0] : 1);
    this.sheets = page.sheets ? page.sheets.sheets.map((source) => Object.assign(new Image(), { src: source })) : [];
    // A frame asked for before its sheet is decoded is drawn when that is done.
    for (const sheet of this.sheets) sheet.onload = () => { if (this.page === page) this.draw(); };
    this.show(0);
  }

  get frame() { return this.page.shown[this.index]; }

  show(index) {
    this.index = Math.max(0, Math.min(this.page.shown.length - 1, Math.round(index)));
    this.draw();
    this.onFrame(this.frame, this.index);
  }

  play(speed) {
    if (this.index >= this.page.shown.length - 1) this.show(0);
    this.playing = true;
    let last = performance.now(), owed = 0;
    const step = (now) => {
      if (!this.playing) return;
      owed += ((now - last) / 1000) * this.rate * speed();
      last = now;
      const due = Math.floor(owed);
      if (due > 0) {
        owed -= due;
        if (this.index + due >= this.page.shown.length - 1) this.playing = false;
        this.show(this.index + due);
      }
      if (this.playing) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
    this.onFrame(this.frame, this.index);
  }

  pause() { this.playing = false; }

  draw() {
    if (!this.page) return;
    const { page, canvas } = this;
    const [height, width] = page.size;
    const [rowMm, columnMm] = page.spacing_mm;
    const view = this.zoomed ? this.window : { top: 0, left: 0, height, width };
    const across = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
    const scaleX = across / view.width, scaleY = (scaleX * rowMm) / columnMm;
    const down = Math.round(view.height * scaleY);
    if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, across, down);
    context.setTransform(scaleX, 0, 0, -scaleY, -view.left * scaleX, (view.top + view.height) * scaleY);
    this.drawImage(context, width, height);
    context.lineJoin = "round";
    for (const [name, frames] of Object.entries(page.outlines).reverse()) {  // the prediction on top
      if (this.hidden.has(name)) continue;
      context.beginPath();
      for (const line of frames[this.index]) tracePath(context, line);
      context.save();
      context.setTransform(1, 0, 0, 1, 0, 0);  // a line of even width, whatever the pixels' shape
      context.lineWidth = (name === "truth" || name === "prediction" ? 1.8 : 1.1) * (window.devicePixelRatio || 1);
      context.strokeStyle = colorOf(name);
      context.stroke();
      context.restore();
    }
  }

  drawImage(context, width, height) {
    const sheets = this.page.sheets;
    if (!sheets) return;
    const perSheet = sheets.side ** 2;
    const sheet = this.sheets[Math.floor(this.index / perSheet)];
    if (!sheet.complete || !sheet.naturalWidth) return;
    const tile = this.index % perSheet;
    const top = Math.floor(tile / sheets.side) * sheets.tile[0], left = (tile % sheets.side) * sheets.tile[1];
    context.drawImage(sheet, left, top, sheets.image[1], sheets.image[0], 0, 0, width, height);
  }
}

// Flat row, column, row, column, ... in half pixels; pixel i covers i to i + 1 on the canvas.
function tracePath(context, line) {
  context.moveTo(line[1] / 2 + 0.5, line[0] / 2 + 0.5);
  for (let i = 2; i < line.length; i += 2) context.lineTo(line[i + 1] / 2 + 0.5, line[i] / 2 + 0.5);
  context.closePath();
}

// A square around everything outlined in any frame.
function targetWindow(page) {
  const [height, width] = page.size;
  let top = height, left = width, bottom = 0, right = 0;
  for (const frames of Object.values(page.outlines)) for (const lines of frames) for (const line of lines) {
    for (let i = 0; i < line.length; i += 2) {
      top = Math.min(top, line[i] / 2); bottom = Math.max(bottom, line[i] / 2);
      left = Math.min(left, line[i + 1] / 2); right = Math.max(right, line[i + 1] / 2);
    }
  }
  if (bottom <= top) return { top: 0, left: 0, height, width };
  const side = Math.min(Math.max(bottom - top, right - left) * 1.35 + 8, height, width);
  const within = (middle, limit) => Math.max(0, Math.min(limit - side, middle - side / 2));
  return { top: within((top + bottom) / 2, height), left: within((left + right) / 2, width), height: side, width: side };
}
