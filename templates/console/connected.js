// The events of a live page. A connection that breaks, or is silent for longer than the server ever is, shows itself and is tried again.
"use strict";
const connected = (address, lost, heard) => {
  const SILENCE = 40_000; // The server says at least every 20 s that all is as it was.
  const AGAIN = 5_000;
  let source = null;
  let timer = 0;
  let turn = 0; // Only the latest attempt counts.
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(open, SILENCE);
  };
  const alive = () => {
    lost.hidden = true;
    wait();
  };
  // Refused, not only unreachable: by a session that has ended, of which the page itself says more, or by a proxy while we are away.
  const ask = async () => {
    const mine = ++turn;
    const asked = { cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(2 * AGAIN) };
    const answer = await fetch(location.href, asked).catch(() => null);
    if (mine !== turn) return;
    if (answer?.ok) open();
    else if (answer && (answer.type === "opaqueredirect" || (answer.status > 0 && answer.status < 500))) location.reload();
    else timer = setTimeout(ask, AGAIN);
  };
  function open() {
    turn += 1;
    if (source) {
      lost.hidden = false;
      source.close();
    }
    wait();
    source = new EventSource(address);
    source.addEventListener("still", alive);
    // The server is there, but cannot see either.
    source.addEventListener("stale", () => {
      lost.hidden = false;
      wait();
    });
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
