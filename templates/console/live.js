// Redraws the numbers as the server sends them. Without this script the page refreshes itself every 3 seconds.
"use strict";
(() => {
  const live = document.getElementById("live");
  const lost = document.getElementById("lost");
  if (!live || !live.dataset.events || !window.EventSource) return;
  const source = new EventSource(live.dataset.events);
  source.addEventListener("open", () => {
    if (lost) lost.hidden = true;
  });
  source.addEventListener("error", () => {
    if (lost) lost.hidden = false;
    // Refused for good, as after the end of a session: the page itself says why.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
  });
  const told = document.getElementById("told");
  source.addEventListener("progress", (event) => {
    // Whoever is in the middle of it with the keyboard stays there.
    const held = live.contains(document.activeElement) ? document.activeElement.id : "";
    live.innerHTML = event.data;
    if (held) document.getElementById(held)?.focus({ preventScroll: true });
    // An answer that is another one now is said aloud, and shown on the tab.
    const answer = live.querySelector("[data-answer]")?.dataset.answer;
    if (told && answer && told.dataset.answer !== answer) {
      told.dataset.answer = answer;
      told.textContent = answer;
      document.title = `${answer} · ${told.dataset.title}`;
    }
  });
  // The broadcast has ended: draw the buttons of an ended broadcast.
  source.addEventListener("over", () => {
    source.close();
    location.reload();
  });
})();
