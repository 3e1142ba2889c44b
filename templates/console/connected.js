// The events of a live page. A connection that breaks, or is silent for longer than the server ever is, shows itself and is tried again.
"use strict";
const connected = (address, lost, heard) => {
  const SILENCE = 40_000; // The server speaks at least every 15 s.
  const AGAIN = 5_000;
  let source = null;
  let timer = 0;
  const alive = () => {
    lost.hidden = true;
    clearTimeout(timer);
    timer = setTimeout(open, SILENCE);
  };
  // Refused, not only unreachable: by a session that has ended, of which the page itself says more, or by a proxy while we are away.
  const ask = async () => {
    const answer = await fetch(location.href, { cache: "no-store", redirect: "manual" }).catch(() => null);
    if (answer?.ok) open();
    else if (answer && (answer.type === "opaqueredirect" || answer.status < 500)) location.reload();
    else timer = setTimeout(ask, AGAIN);
  };
  function open() {
    if (source) {
      lost.hidden = false;
      source.close();
    }
    clearTimeout(timer);
    timer = setTimeout(open, SILENCE);
    source = new EventSource(address);
    source.addEventListener("open", alive);
    source.addEventListener("still", alive);
    source.addEventListener("error", ({ target }) => {
      lost.hidden = false;
      if (target.readyState !== EventSource.CLOSED) return;
      clearTimeout(timer);
      timer = setTimeout(ask, AGAIN);
    });
    for (const [name, done] of Object.entries(heard)) {
      source.addEventListener(name, (event) => {
        alive();
        done(event);
      });
    }
  }
  // A phone without a network knows it before its connections do.
  addEventListener("offline", () => (lost.hidden = false));
  addEventListener("online", open);
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
};
