// Offers to receive warnings in this browser. Asks for the permission only when the button is pressed.
"use strict";
(() => {
  const section = document.getElementById("nhan-tin");
  if (!section) return;
  const { key, keyId } = section.dataset;
  const tongue = document.documentElement.lang;
  const SCOPE = "/public/";
  const DAY = 86400e3;
  const TRIES = 6;

  // One state at a time: what is said, which buttons there are.
  const show = (state, ...buttons) => {
    for (const words of section.querySelectorAll("[data-say]")) words.hidden = words.dataset.say !== state;
    for (const button of section.querySelectorAll("[data-do]")) button.hidden = !buttons.includes(button.dataset.do);
    section.hidden = false;
  };
  const showOn = (me) => show("on", "stop", ...(me.locale === tongue ? [] : ["language"]));
  const showOff = () => (Notification.permission === "denied" ? show("blocked") : show("off", "start"));

  // "Not now" is tried again with growing waits, and as late as the server asks; what is wrong is not.
  const persist = async (work, tries = 0) => {
    try {
      return await work();
    } catch (refusal) {
      const isAnswer = refusal instanceof Response;
      const isForNow = isAnswer ? refusal.status === 429 || refusal.status >= 500 : refusal instanceof TypeError;
      if (!isForNow || tries === TRIES) throw refusal;
      show(isAnswer ? "busy" : "offline");
      const asked = (isAnswer && Number(refusal.headers.get("retry-after"))) || 0;
      const seconds = Math.max(asked, 2 ** (tries + 1)) * (1 + Math.random() / 2);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      return persist(work, tries + 1);
    }
  };

  const enrol = async (subscription) => {
    await persist(async () => loa.register(subscription, await loa.me()));
    showOn(await loa.me());
  };

  const subscribe = async (me) => {
    await navigator.serviceWorker.register("/sw.js", { scope: SCOPE });
    const { pushManager } = await navigator.serviceWorker.ready;
    const earlier = await pushManager.getSubscription();
    if (earlier) await earlier.unsubscribe();
    const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: loa.bytes(me.key) });
    await loa.keep(me);
    await enrol(subscription);
  };

  const start = async () => {
    show("asking");
    if ((await Notification.requestPermission()) !== "granted") return showOff();
    const known = (await loa.me()) || { installation: crypto.randomUUID() };
    return subscribe({ ...known, key, keyId, locale: tongue, leaving: false });
  };

  // Here first: whatever becomes of the registration, nothing is pushed to this browser any more.
  const stop = async () => {
    show("asking");
    const me = await loa.me();
    if (me) await loa.keep({ ...me, leaving: true });
    const registration = await navigator.serviceWorker.getRegistration(SCOPE);
    const subscription = registration && (await registration.pushManager.getSubscription());
    if (subscription) await subscription.unsubscribe();
    if (registration) await registration.unregister();
    if (me) await persist(() => loa.leave(me));
    await loa.forget();
    if (Notification.permission === "denied") show("blocked");
    else show("stopped", "start");
  };

  const language = async () => {
    await loa.keep({ ...(await loa.me()), locale: tongue, at: 0 });
    await begin();
  };

  // At every visit: a registration that failed or is old is made again, a stop that was cut off is ended.
  const begin = async () => {
    const me = await loa.me();
    if (!me) return showOff();
    if (me.leaving || Notification.permission !== "granted") return stop();
    const registration = await navigator.serviceWorker.getRegistration(SCOPE);
    const subscription = registration && (await registration.pushManager.getSubscription());
    // The browser ended the subscription by itself.
    if (!subscription) return subscribe(me);
    const isFresh = subscription.endpoint === me.endpoint && Date.now() - me.at < DAY;
    return isFresh ? showOn(me) : enrol(subscription);
  };

  const failed = () => show("failed", "start");
  for (const [name, work] of Object.entries({ start, stop, language })) {
    section.querySelector(`[data-do=${name}]`).addEventListener("click", () => work().catch(failed));
  }
  const able = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
  if (able) begin().catch(failed);
  else show("standalone" in navigator && !navigator.standalone ? "home" : "unable");
})();
