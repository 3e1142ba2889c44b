// The public page in a citizen's browser: subscribe, be told, read without a network, leave.
"use strict";
const { chromium } = require("playwright-core");
const { execFileSync } = require("node:child_process");
const crypto = require("node:crypto");
const fs = require("node:fs");
const { act, configure, configured, database, end, file, freePort, is, run, serve, step } = require("./stage.cjs");

const sealer = process.env.LOA_BROWSER_SEAL;
const query = (sql) => execFileSync("psql", ["--quiet", "--tuples-only", "--no-align", database, "-c", sql], { encoding: "utf8" }).trim();

// A browser's side of a subscription: no push service is reached from here, so that its keys are made by this test.
const pair = crypto.createECDH("prime256v1");
pair.generateKeys();
const auth = crypto.randomBytes(16);
const subscription = {
  endpoint: "https://fcm.googleapis.com/wp/made-by-this-test",
  keys: { p256dh: pair.getPublicKey("base64url"), auth: auth.toString("base64url") },
};

// RFC 8291 and RFC 8188 once more, with the standard library of another language.
const decrypt = (body) => {
  const [salt, sender, record] = [body.subarray(0, 16), body.subarray(21, 86), body.subarray(86)];
  const shared = pair.computeSecret(sender);
  const info = Buffer.concat([Buffer.from("WebPush: info\0"), pair.getPublicKey(), sender]);
  const ikm = crypto.hkdfSync("sha256", shared, auth, info, 32);
  const key = Buffer.from(crypto.hkdfSync("sha256", ikm, salt, "Content-Encoding: aes128gcm\0", 16));
  const nonce = Buffer.from(crypto.hkdfSync("sha256", ikm, salt, "Content-Encoding: nonce\0", 12));
  const open = crypto.createDecipheriv("aes-128-gcm", key, nonce).setAuthTag(record.subarray(-16));
  const padded = Buffer.concat([open.update(record.subarray(0, -16)), open.final()]);
  is(padded.at(-1), 2, "the delimiter of the last record");
  return padded.subarray(0, -1).toString();
};
const sealed = (message) => {
  const printed = execFileSync(sealer, { input: JSON.stringify({ subscription, message }), encoding: "utf8" });
  return decrypt(Buffer.from(printed.trim(), "base64url"));
};

// Stands in for the push service alone: what the browser would have been given by it.
const standIn = ({ endpoint, keys }) => {
  const NAME = "stand-in-subscription";
  const made = () => ({
    endpoint,
    toJSON: () => ({ endpoint, expirationTime: null, keys }),
    unsubscribe: async () => localStorage.removeItem(NAME) === undefined,
  });
  PushManager.prototype.subscribe = async (options) => {
    if (options.applicationServerKey.length !== 65 || !options.userVisibleOnly) throw new TypeError("no key");
    localStorage.setItem(NAME, "made");
    return made();
  };
  PushManager.prototype.getSubscription = async () => (localStorage.getItem(NAME) ? made() : null);
};

const main = async () => {
  for (const name of ["seal.key", "vapid.pem", "serve.log"]) fs.rmSync(file(name), { force: true });
  const port = await freePort();
  const base = `http://localhost:${port}`;
  const publicKey = run("keygen", "vapid", "--out", file("vapid.pem")).trim();
  configure(port, `[webpush]\nsubject = "mailto:truc@tinh.example.vn"\ncurrent_key = "web"\nvapid_keys = [{ id = "web", private_key_file = "${file("vapid.pem")}", public_key = "${publicKey}" }]\n`);
  configured("migrate");
  let child = await serve(base);
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  try {
    const context = await browser.newContext({ locale: "vi-VN", viewport: { width: 360, height: 800 } });
    await context.addInitScript(standIn, subscription);
    const page = await context.newPage();
    const errors = [];
    const requests = [];
    page.on("console", (line) => line.type() === "error" && errors.push(line.text()));
    page.on("pageerror", (error) => errors.push(error.message));
    context.on("request", (request) => requests.push(request.url()));
    const shot = (name) => page.screenshot({ path: file(`public-${name}.png`), fullPage: true });
    const state = (name) => page.waitForSelector(`[data-say=${name}]:not([hidden])`);

    const cdp = await context.newCDPSession(page);
    const registrations = new Map();
    cdp.on("ServiceWorker.workerRegistrationUpdated", (event) => {
      for (const one of event.registrations) if (!one.isDeleted) registrations.set(one.scopeURL, one.registrationId);
    });
    await cdp.send("ServiceWorker.enable");
    const notifications = () =>
      page.evaluate(async () => {
        const shown = await (await navigator.serviceWorker.getRegistration("/public/")).getNotifications();
        return shown.map(({ title, body, tag, requireInteraction, silent, renotify, actions, data }) => ({ title, body, tag, requireInteraction, silent, renotify, actions: actions.map(({ title: name }) => name).join(), data }));
      });
    // What the browser says it has shown; the worker answers nobody, so it is asked until the answer is `wanted`.
    const deliver = async (message, wanted) => {
      const data = typeof message === "string" ? message : sealed(message);
      await cdp.send("ServiceWorker.deliverPushMessage", { origin: base, registrationId: registrations.get(`${base}/public/`), data });
      let seen;
      for (let tries = 0; tries < 60; tries += 1) {
        await new Promise((resolve) => setTimeout(resolve, tries < 5 ? 100 : 50));
        seen = await notifications();
        if (tries >= 4 && wanted(seen)) return seen;
      }
      throw new Error(`the notifications are ${JSON.stringify(seen)}`);
    };
    const only = (title) => (seen) => seen.length === 1 && seen[0].title === title;

    await step("nothing is registered and nobody is asked before the button is pressed", async () => {
      await page.goto(`${base}/public/alerts`);
      await state("off");
      await shot("off");
      is(await page.evaluate(() => navigator.serviceWorker.getRegistrations().then((all) => all.length)), 0, "workers");
      is(query("select count(*) from device"), "0", "devices");
    });
    await step("whoever has forbidden notifications is told how to allow them", async () => {
      await page.click("[data-do=start]");
      // Nobody is there to answer, and this browser answers for them.
      await page.waitForSelector("[data-say=blocked]:not([hidden]), [data-say=off]:not([hidden])");
      await shot("blocked");
      is(query("select count(*) from device"), "0", "devices");
    });
    await context.grantPermissions(["notifications"], { origin: base });
    await step("the server is away: the page says so, and registers as soon as it is back", async () => {
      await page.goto(`${base}/public/alerts`);
      await state("off");
      await page.route("**/v1/devices/**", (route) => route.abort());
      await page.click("[data-do=start]");
      await state("offline");
      await page.unroute("**/v1/devices/**");
      await page.route("**/v1/devices/**", (route) => route.fulfill({ status: 429, headers: { "retry-after": "1" }, body: "{}" }), { times: 1 });
      await state("busy");
      await shot("busy");
      await state("on");
      await shot("on");
    });
    await step("the browser is registered with its language and our key", async () => {
      is(query("select count(*) from device"), "1", "devices");
      is(query("select kind, language, platform, vapid_key, state from device"), "4|vi|web|web|0", "its row");
      is(await page.evaluate(() => navigator.serviceWorker.ready.then(({ scope }) => new URL(scope).pathname)), "/public/", "the scope");
    });
    await step("whoever reads in another language can be told in it", async () => {
      await page.goto(`${base}/public/alerts?lang=en`);
      await state("on");
      await shot("on-en");
      await page.click("[data-do=language]");
      await page.waitForSelector("[data-do=language]", { state: "hidden" });
      await state("on");
      is(query("select language from device"), "en", "its language");
      await page.goto(`${base}/public/alerts`);
      await page.click("[data-do=language]");
      await page.waitForSelector("[data-do=language]", { state: "hidden" });
      await state("on");
      is(query("select count(*) from device"), "1", "devices");
    });

    const incident = crypto.randomUUID();
    const [id, corrected, recalled] = [1, 2, 3].map(() => crypto.randomUUID());
    const hour = Math.floor(Date.now() / 1000) + 3600;
    const told = (version, alert, kind, title, further) => ({ id: alert, incident, version, kind, title, body: `Rời ngay khỏi ven sông.\nNội dung ${version} <b>&`, url: `${base}/public/alerts/${alert}`, expires: hour, ...further });
    const first = told(1, id, "emergency", "Lũ quét <i>");
    const cid = JSON.parse(sealed(first)).cid;

    await step("an emergency that our sender has encrypted is shown, and stays until somebody has seen it", async () => {
      const [shown] = await deliver(first, only("Lũ quét <i>"));
      is(shown.body, first.body, "the text");
      is(shown.tag, cid, "the tag");
      is(`${shown.requireInteraction} ${shown.silent} ${shown.actions}`, "true false Mở", "how");
      is(shown.data, `/public/alerts/${id}`, "where it leads");
    });
    await step("a repeat is not shown twice and makes no sound", async () => {
      const [shown] = await deliver(first, (seen) => seen.length === 1 && seen[0].silent);
      is(shown.title, "Lũ quét <i>", "the title");
    });
    await step("a higher version takes its place", async () => {
      const seen = await deliver(told(2, corrected, "emergency", "ĐÍNH CHÍNH: Lũ quét", { replaces: [[id, 1]] }), only("ĐÍNH CHÍNH: Lũ quét"));
      is(`${seen[0].tag === cid} ${seen[0].silent} ${seen[0].renotify}`, "true false true", "in its place, and it rings");
    });
    await step("an older version that arrives late changes nothing", async () => {
      const seen = await deliver(first, (all) => all.length === 1 && all[0].silent);
      is(seen[0].title, "ĐÍNH CHÍNH: Lũ quét", "the title");
    });
    await step("what was put aside does not come back", async () => {
      await page.evaluate(async () => {
        for (const one of await (await navigator.serviceWorker.getRegistration("/public/")).getNotifications()) one.close();
      });
      await deliver(first, (seen) => seen.length === 0);
    });
    await step("a recall is shown as loud as what it recalls", async () => {
      const seen = await deliver(told(3, recalled, "recall", "THU HỒI: Lũ quét", { replaces: [[corrected, 2], [id, 1]] }), only("THU HỒI: Lũ quét"));
      is(`${seen[0].tag === cid} ${seen[0].requireInteraction} ${seen[0].silent}`, "true true false", "how");
    });
    await step("a recall that arrives first keeps its original away", async () => {
      const other = crypto.randomUUID();
      const of = (version, title, kind) => told(version, crypto.randomUUID(), kind, title, { incident: other });
      await deliver(of(2, "THU HỒI: Cháy rừng", "recall"), (seen) => seen.some(({ title }) => title === "THU HỒI: Cháy rừng"));
      const seen = await deliver(of(1, "Cháy rừng", "emergency"), (all) => all.some(({ title, silent }) => title === "THU HỒI: Cháy rừng" && silent));
      is(seen.some(({ title }) => title === "Cháy rừng"), false, "the original");
    });
    await step("an announcement is silent; a drill says that it is one; what is over says no more than that", async () => {
      const alone = (kind, title, further) => told(1, crypto.randomUUID(), kind, title, { incident: crypto.randomUUID(), ...further });
      const find = (seen, title) => seen.find((one) => one.title === title);
      const news = await deliver(alone("announcement", "Tiêm vắc-xin"), (seen) => find(seen, "Tiêm vắc-xin"));
      is(`${find(news, "Tiêm vắc-xin").silent} ${find(news, "Tiêm vắc-xin").requireInteraction}`, "true false", "how");
      await deliver(alone("drill", "Báo động"), (seen) => find(seen, "DIỄN TẬP: Báo động"));
      const over = await deliver(alone("emergency", "Vỡ đập", { expires: hour - 7200 }), (seen) => find(seen, "Tin đã hết hiệu lực"));
      is(`${find(over, "Tin đã hết hiệu lực").silent} ${JSON.stringify(over).includes("Vỡ đập")}`, "true false", "quiet, without alarm");
    });
    await step("an emergency that a message names and this browser lacks is fetched, under the tag its push would have had", async () => {
      const [missed, itsIncident] = [crypto.randomUUID(), crypto.randomUUID()];
      const text = { headline: "Sạt lở đất", body: "Tình hình.", instruction: "Rời ngay." };
      const record = { id: missed, incident: itsIncident, version: 1, purpose: "alert", status: "live", kind: "warning", lane: "emergency", texts: { vi: text }, url: `${base}/public/alerts/${missed}`, expires: new Date(hour * 1000).toISOString() };
      const [worker] = context.serviceWorkers();
      await worker.evaluate((answer) => {
        const ask = self.fetch;
        self.fetch = async (...asked) => (asked[0] === `/public/alerts/${answer.id}` ? Response.json(answer) : ask(...asked));
      }, record);
      const carrier = told(1, crypto.randomUUID(), "announcement", "Tin khác", { incident: crypto.randomUUID(), live: [[missed, 1]] });
      const seen = await deliver(carrier, (all) => all.some(({ title }) => title === "Sạt lở đất"));
      const shown = seen.find(({ title }) => title === "Sạt lở đất");
      is(`${shown.body} ${shown.requireInteraction}`, "Rời ngay.\nTình hình. true", "as a push would be");
      is(shown.tag, JSON.parse(sealed({ ...first, incident: itsIncident })).cid, "the tag");
    });
    await step("a push that cannot be read still says that there is news", () => deliver("no JSON", (seen) => seen.some(({ title }) => title === "Có tin mới từ tỉnh")));
    await step("a click opens the alert's own page", async () => {
      const [worker] = context.serviceWorkers();
      const opened = await worker.evaluate(async (wanted) => {
        const shown = await self.registration.getNotifications({ tag: wanted });
        // Only a person's own click may open a window: where it would go is what is asked here.
        return new Promise((resolve) => {
          self.clients.openWindow = async (address) => resolve(address);
          self.dispatchEvent(new NotificationEvent("notificationclick", { notification: shown[0] }));
        });
      }, cid);
      is(opened, `${base}/public/alerts/${recalled}`, "the address");
    });

    await end(child);
    await step("without a server the alert opens from what was pushed", async () => {
      await page.goto(`${base}/public/alerts/${recalled}`);
      is(await page.textContent("h1"), "THU HỒI: Lũ quét", "the headline");
      is(await page.textContent(".say"), told(3, recalled).body, "the text");
      is((await page.textContent("main")).includes("Hiệu lực đến"), false, "a recall is in force until nothing");
      await shot("offline");
      await page.goto(`${base}/public/alerts/${id}`);
      is(await page.textContent("h1"), "THU HỒI: Lũ quét", "what took the first one's place");
      await page.goto(`${base}/public/alerts`);
      is(await page.locator("h1").first().textContent(), "Sạt lở đất", "the gravest first");
      is((await page.textContent("main")).includes("không có nghĩa là không có cảnh báo"), true, "the list says what it is");
      is(await page.locator("article b, article i").count(), 0, "a text is a text");
      await shot("offline-list");
    });
    child = await serve(base);
    // Until the record has been read the answer is 503, and the worker's own page.
    while (!(await fetch(`${base}/public/alerts`, { headers: { connection: "close" } })).ok) await new Promise((resolve) => setTimeout(resolve, 50));
    await step("the browser leaves: the registration is erased, nothing is kept here", async () => {
      await page.goto(`${base}/public/alerts`);
      await state("on");
      await page.click("[data-do=stop]");
      await state("stopped");
      await shot("stopped");
      is(query("select count(*) from device where state = 0"), "0", "devices");
      is(await page.evaluate(() => navigator.serviceWorker.getRegistrations().then((all) => all.length)), 0, "workers");
      is(await page.evaluate(async () => Boolean(await loa.me())), false, "what is kept");
    });
    await step("no cookie, no third party, no script that fails", async () => {
      is((await context.cookies()).length, 0, "cookies");
      is(requests.filter((url) => !url.startsWith(base) && !url.startsWith("data:")).join(), "", "strangers");
      const real = errors.filter((line) => !/ERR_FAILED|ERR_CONNECTION_REFUSED|429/.test(line));
      is(real.join("\n"), "", "the browser's console");
    });
  } finally {
    await browser.close();
    await end(child);
  }
};

act(main);
