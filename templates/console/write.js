// Keeps the draft at each pause in typing and redraws the preview. Without it the button does both.
"use strict";
(() => {
  const form = document.getElementById("write");
  if (!form || !window.fetch) return;
  const kept = document.getElementById("kept");
  const preview = document.getElementById("preview");
  const version = form.elements.namedItem("version");
  const PAUSE = 1200;
  const AGAIN = 5000;
  let timer = 0;
  let changes = 0;
  let isBusy = false;
  let isOver = false;

  const say = (words, isBad) => {
    kept.textContent = words;
    kept.classList.toggle("bad", Boolean(isBad));
  };
  const later = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(keep, wait);
  };

  async function keep() {
    if (isBusy || isOver) return;
    isBusy = true;
    const before = changes;
    say(form.dataset.saving);
    const body = new FormData(form);
    // Files go with the buttons.
    body.delete("document");
    try {
      const answer = await fetch(form.dataset.keep, { method: "POST", body, redirect: "manual" });
      if (answer.status === 401 || answer.type === "opaqueredirect") {
        say(form.dataset.ended, true);
        isOver = true;
      } else if (answer.status >= 500) {
        throw new Error("away");
      } else {
        const told = await answer.json();
        if (answer.ok) {
          version.value = told.version;
          const isOpen = preview.querySelector("details.missing")?.open;
          preview.innerHTML = told.preview;
          const missing = preview.querySelector("details.missing");
          if (missing && isOpen) missing.open = true;
          say(told.saved);
          if (changes === before) changes = 0;
          else later(PAUSE);
        } else {
          say(told.wrong, true);
          // Another person's version: only a button, after reading, goes on.
          isOver = answer.status !== 422;
        }
      }
    } catch {
      say(form.dataset.lost, true);
      later(AGAIN);
    }
    isBusy = false;
    if (changes > before) later(PAUSE);
  }

  form.addEventListener("input", (event) => {
    if (event.target.type === "file" || event.target.id === "find") return;
    changes += 1;
    later(PAUSE);
  });
  form.addEventListener("submit", () => {
    changes = 0;
    isOver = true;
    clearTimeout(timer);
  });
  window.addEventListener("online", () => changes && later(0));
  window.addEventListener("beforeunload", (event) => {
    if (changes) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && changes) later(0);
  });

  const communes = document.getElementById("communes");
  const find = document.getElementById("find");
  const plain = (words) => words.normalize("NFD").replace(/[\u0300-\u036f]/g, "").replace(/[đĐ]/g, "d").toLowerCase();
  document.getElementById("communes-find").hidden = false;
  find.addEventListener("input", () => {
    const wanted = plain(find.value.trim());
    for (const label of communes.children) label.hidden = !plain(label.textContent).includes(wanted);
  });
  find.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
  communes.addEventListener("change", () => {
    document.getElementById("communes-count").textContent = communes.querySelectorAll("input:checked").length;
  });
})();
