// Copies the relay's line. Without a clipboard (plain HTTP has none) it is selected, ready for Ctrl+C.
"use strict";
const line = document.getElementById("line");
const copy = document.getElementById("copy");
line.addEventListener("focus", () => line.select());
copy.addEventListener("click", async () => {
  line.focus();
  line.select();
  let done = false;
  try {
    await navigator.clipboard.writeText(line.value);
    done = true;
  } catch {
    done = document.execCommand("copy");
  }
  copy.textContent = done ? "Copied" : "Press Ctrl+C";
});
