// What page and worker share: this browser's own database, and how it registers. No cookie: id and secret stay here.
"use strict";
const loa = (() => {
  const done = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });

  let database;
  const open = () => {
    if (!database) {
      const request = indexedDB.open("loa", 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("self");
        // What was shown, by incident: the highest version only.
        request.result.createObjectStore("alerts", { keyPath: "cid" });
      };
      database = done(request);
    }
    return database;
  };
  const store = async (name, mode) => (await open()).transaction(name, mode).objectStore(name);

  // Who this browser is: { installation, secret, key, keyId, locale, endpoint, at, leaving }.
  const me = async () => done((await store("self", "readonly")).get("me"));
  const keep = async (record) => done((await store("self", "readwrite")).put(record, "me"));
  const forget = async () => {
    await done((await store("self", "readwrite")).clear());
    await done((await store("alerts", "readwrite")).clear());
  };

  const held = async (cid) => done((await store("alerts", "readonly")).get(cid));
  const all = async () => done((await store("alerts", "readonly")).getAll());
  const hold = async (message) => done((await store("alerts", "readwrite")).put(message));
  const drop = async (cid) => done((await store("alerts", "readwrite")).delete(cid));

  const bytes = (base64url) =>
    Uint8Array.from(atob(base64url.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));

  const call = async (method, record, body) => {
    const headers = { "content-type": "application/json" };
    if (record.secret) headers["loa-device-secret"] = record.secret;
    return fetch(`/v1/devices/${record.installation}`, { method, headers, credentials: "omit", cache: "no-store", body: body && JSON.stringify(body) });
  };

  // Registers what the browser has subscribed, and keeps the secret. Throws the answer if it is a refusal.
  const register = async (subscription, record) => {
    const { endpoint, keys } = subscription.toJSON();
    const body = {
      kind: "webpush",
      endpoint,
      p256dh: keys.p256dh,
      auth: keys.auth,
      vapid_key_id: record.keyId,
      locale: record.locale,
      platform: "web",
    };
    let answer = await call("PUT", record, body);
    if (answer.status === 401) {
      // The secret was lost on its way here: a new installation with the same address takes the old one's place.
      record = { ...record, installation: crypto.randomUUID(), secret: undefined };
      await keep(record);
      answer = await call("PUT", record, body);
    }
    if (!answer.ok) throw answer;
    const { secret } = await answer.json();
    await keep({ ...record, secret: secret || record.secret, endpoint, at: Date.now() });
  };

  // Has the registration erased. Throws the answer if it is a refusal that another try may change.
  const leave = async (record) => {
    const answer = await call("DELETE", record);
    if (!answer.ok && answer.status !== 401 && answer.status !== 404) throw answer;
  };

  return { me, keep, forget, held, all, hold, drop, bytes, register, leave };
})();
