// Shows what waits as it arrives, and rings for an emergency. Without this script the page refreshes itself every 10 seconds.
(() => {
  const waiting = document.getElementById("waiting");
  const told = document.getElementById("told");
  const ring = document.getElementById("ring");
  if (!waiting || !window.EventSource) return;
  const emergencies = () => [...waiting.querySelectorAll("[data-emergency]")];
  const known = new Set(emergencies().map((one) => one.dataset.emergency));

  // Two tones, three times. Browsers play nothing before somebody has pressed a key or a button on the page.
  let audio = null;
  const wanted = () => localStorage.getItem("loa-ring") === "on";
  const isReady = () => audio !== null && audio.state === "running";
  const draw = () => {
    ring.hidden = false;
    ring.textContent = !wanted() ? ring.dataset.off : isReady() ? ring.dataset.on : ring.dataset.again;
  };
  const open = async () => {
    audio ??= new AudioContext();
    await audio.resume();
    draw();
  };
  // Whoever has the bell on is on duty: the session does not end for want of a press, only with the shift.
  setInterval(() => wanted() && isReady() && fetch(location.href, { cache: "no-store", redirect: "manual" }).catch(() => null), 10 * 60_000);
  const sound = () => {
    if (!isReady()) return;
    for (let at = 0; at < 6; at += 1) {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      const start = audio.currentTime + at * 0.35;
      tone.frequency.value = at % 2 ? 660 : 880;
      volume.gain.setValueAtTime(0.25, start);
      volume.gain.exponentialRampToValueAtTime(0.001, start + 0.33);
      tone.connect(volume).connect(audio.destination);
      tone.start(start);
      tone.stop(start + 0.34);
    }
  };
  if (window.AudioContext) {
    ring.addEventListener("click", async () => {
      const isOff = wanted() && isReady();
      localStorage.setItem("loa-ring", isOff ? "off" : "on");
      if (isOff) return draw();
      await open();
      sound();
    });
    // Any press on the page lets a sound that was asked for before play again.
    document.addEventListener("pointerdown", () => wanted() && !isReady() && open(), { once: true });
    draw();
  }

  connected(waiting.dataset.events, document.getElementById("lost"), {
    queue: (event) => {
      const focused = waiting.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      waiting.innerHTML = event.data;
      if (focused) waiting.querySelector(`a[href="${focused}"]`)?.focus();
      const count = waiting.querySelectorAll("li").length;
      document.title = `${count ? `(${count}) ` : ""}${waiting.dataset.title} · loa`;
      for (const one of emergencies()) {
        if (known.has(one.dataset.emergency)) continue;
        known.add(one.dataset.emergency);
        told.textContent = `${waiting.dataset.new}: ${one.querySelector("h2").textContent}`;
        sound();
      }
    },
  });
})();
