// Keyboard shortcuts. Letters that the box drawing uses itself (C, D, E, Space, Delete) are left to it.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=range]):not([type=radio]), textarea, [contenteditable=true]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const buttons = { m: "masks", p: "propagate", escape: "cancel", u: "undo", a: "accept", l: "last" };
  const id = buttons[event.key.toLowerCase()];
  if (id) {
    const button = document.getElementById(id);
    if (button && !button.disabled) button.click();
    return;
  }
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const slider = document.querySelector("#frame input[type=range]");
  if (!step || !slider || event.target === slider) return;
  event.preventDefault();
  const number = document.querySelector("#frame input[type=number]");
  number.value = Math.min(Number(slider.max), Math.max(Number(slider.min), Number(slider.value) + step));
  number.dispatchEvent(new Event("input", { bubbles: true }));
  number.dispatchEvent(new Event("blur", { bubbles: true }));
});
