// Redraws the numbers as the server sends them. Without this script the page refreshes itself every 3 seconds.
(() => {
  const live = document.getElementById("live");
  if (!live || !live.dataset.events || !window.EventSource) return;
  const told = document.getElementById("told");
  const close = connected(live.dataset.events, document.getElementById("lost"), {
    progress: (event) => {
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
    },
    // The broadcast has ended: draw the buttons of an ended broadcast.
    over: () => {
      close();
      location.reload();
    },
  });
})();
