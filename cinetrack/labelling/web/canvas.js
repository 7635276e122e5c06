// The picture under points and brush. A stroke is shown while it is drawn and sent when it ends, as fractions of the
// picture's width and height; the server paints it and sends the new picture.
let path = null;
const picture = () => element.querySelector("img");
const position = (event) => {
  const box = picture().getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
};
const line = () => {
  const image = picture(), ink = element.querySelector("canvas");
  if (ink.width !== image.clientWidth || ink.height !== image.clientHeight) {
    ink.width = image.clientWidth;
    ink.height = image.clientHeight;
  }
  const pen = ink.getContext("2d");
  pen.lineCap = pen.lineJoin = "round";
  pen.lineWidth = 4;
  pen.strokeStyle = "rgba(255, 255, 255, 0.8)";
  pen.beginPath();
  path.forEach(([x, y]) => pen.lineTo(x * ink.width, y * ink.height));
  pen.stroke();
};
element.addEventListener("pointerdown", (event) => {
  if (!event.target.closest(".picture")) return;
  event.preventDefault();
  path = [position(event)];
});
element.addEventListener("pointermove", (event) => {
  if (path === null) return;
  path.push(position(event));
  line();
});
window.addEventListener("pointerup", () => {
  if (path === null) return;
  // The server takes 2000 positions: of a longer stroke every second, third, ... is sent, and always its end.
  const step = Math.ceil(path.length / 1999), last = path.length - 1;
  trigger("select", { path: path.filter((_, index) => index % step === 0 || index === last) });
  path = null;
});
