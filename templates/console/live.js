// Redraws the broadcast's numbers as the server sends them. Without this script the page refreshes itself every 3 seconds.
"use strict";
(() => {
  const live = document.getElementById("live");
  if (!live || !live.dataset.events || !window.EventSource) return;
  const source = new EventSource(live.dataset.events);
  source.addEventListener("progress", (event) => {
    live.innerHTML = event.data;
  });
  // The broadcast has ended: draw the buttons of an ended broadcast.
  source.addEventListener("over", () => {
    source.close();
    location.reload();
  });
})();
