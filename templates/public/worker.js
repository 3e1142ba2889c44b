// Shows what is pushed, and opens it without a network. docs/app.md is the contract.
"use strict";

const WORDS = {
  vi: {
    home: "Cảnh báo chính thức của tỉnh",
    open: "Mở",
    news: "Có tin mới từ tỉnh",
    newsText: "Mở để đọc các tin đang có hiệu lực.",
    over: "Tin đã hết hiệu lực",
    overText: "Một tin đến máy này khi đã hết hiệu lực. Không cần làm gì.",
    drill: "DIỄN TẬP",
    marks: { recall: "THU HỒI", correction: "ĐÍNH CHÍNH", all_clear: "BÁO YÊN" },
    offline: "Không kết nối được máy chủ. Đây là nội dung máy này đã nhận qua thông báo.",
    nothing: "Không kết nối được máy chủ, và máy này chưa nhận tin ấy qua thông báo.",
    notAll: "Có thể còn tin khác. Trang này không có nghĩa là không có cảnh báo.",
    until: "Hiệu lực đến",
    ended: "Tin này đã hết hiệu lực lúc",
    again: "Thử kết nối lại",
    list: "Các tin đã nhận",
    numbers: "Cần giúp đỡ khẩn cấp: cứu nạn 112 · công an 113 · chữa cháy 114 · cấp cứu 115.",
  },
  en: {
    home: "Official alerts of the province",
    open: "Open",
    news: "News from the province",
    newsText: "Open to read the alerts in force.",
    over: "An alert has ended",
    overText: "An alert reached this device after it had ended. There is nothing to do.",
    drill: "DRILL",
    marks: { recall: "RECALLED", correction: "CORRECTED", all_clear: "ALL CLEAR" },
    offline: "The server cannot be reached. This is what this device received as a notification.",
    nothing: "The server cannot be reached, and this device has not received that alert as a notification.",
    notAll: "There may be other alerts. This page does not mean that there are none.",
    until: "In force until",
    ended: "This alert ended at",
    again: "Try to connect again",
    list: "Alerts received",
    numbers: "Emergency numbers: rescue 112 · police 113 · fire 114 · ambulance 115.",
  },
};
const KEPT_AFTER_END = 30 * 86400;
const SILENT = ["announcement", "canary"];
const GRAVEST = ["emergency", "warning", "recall", "all_clear"];

const tongueOf = (me) => (me && me.locale === "en" ? "en" : "vi");
const tongue = async () => tongueOf(await loa.me());
const now = () => Date.now() / 1000;
const isOver = (message) => Number(message.exp) <= now();
const moment = (seconds) =>
  new Date(seconds * 1000).toLocaleString("en-GB", {
    timeZone: "Asia/Ho_Chi_Minh",
    day: "2-digit",
    month: "2-digit",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
  }).replace(",", "");

self.addEventListener("install", () => self.skipWaiting());

// One after the other: two pushes that arrive together must not overtake one another between reading and writing.
let last = Promise.resolve();
const inTurn = (work) => (last = last.then(work, work));

self.addEventListener("push", (event) => event.waitUntil(inTurn(() => arrived(event.data))));

const arrived = async (data) => {
  let message;
  try {
    message = data.json();
  } catch {
    message = null;
  }
  if (!message || !message.cid || !message.title) return showUnread();
  await take(message);
  await fetchLacking(message.live);
  await forgetOld();
};

// Of one incident the highest version holds, whichever arrives first.
const take = async (message) => {
  const held = await loa.held(message.cid);
  const [is, was] = [Number(message.v), held ? Number(held.v) : -1];
  if (was > is || (was === is && held.id === message.id)) return showAgain(held);
  // Shown before it is remembered: a worker that is ended in between shows it twice rather than never.
  const original = held ? held.kind : undefined;
  await (isOver(message) ? showOver(message) : show(message, { original }));
  await loa.hold(message);
};

const addressOf = (message, t) =>
  (message.url ? `/public/alerts/${encodeURIComponent(message.id)}` : "/public/alerts") + (t === "en" ? "?lang=en" : "");

const titleOf = (message, words) =>
  message.kind === "drill" && !message.title.startsWith(words.drill) ? `${words.drill}: ${message.title}` : message.title;

// `original`: the kind of what a recall takes the place of, if it was here. A recall is as loud as that was.
const show = async (message, { original, isAgain = false } = {}) => {
  const t = await tongue();
  const words = WORDS[t];
  const kind = message.kind === "recall" ? original || "emergency" : message.kind;
  const silent = isAgain || SILENT.includes(kind);
  await self.registration.showNotification(titleOf(message, words), {
    body: message.body,
    tag: message.cid,
    lang: t,
    icon: "/public/files/icon.png",
    requireInteraction: kind === "emergency",
    renotify: !silent,
    silent,
    actions: [{ action: "open", title: words.open }],
    data: addressOf(message, t),
  });
};

const showOver = async (message) => {
  const t = await tongue();
  const { over, overText } = WORDS[t];
  await self.registration.showNotification(over, { body: overText, tag: message.cid, lang: t, silent: true, data: addressOf(message, t) });
};

const showUnread = async () => {
  const t = await tongue();
  const { news, newsText } = WORDS[t];
  await self.registration.showNotification(news, { body: newsText, tag: "news", lang: t, data: "/public/alerts" });
};

// A push has to show something, or the browser takes the permission away. A repeat, or what came too late, leaves what is there as it is,
// without a sound; what was put aside stays aside.
const showAgain = async (held) => {
  const before = await self.registration.getNotifications({ tag: held.cid });
  await (isOver(held) ? showOver(held) : show(held, { isAgain: true }));
  if (before.length > 0) return;
  for (const shown of await self.registration.getNotifications({ tag: held.cid })) shown.close();
};

// A push service may have dropped what it could not deliver: every message names the emergencies that are live.
const fetchLacking = async (live) => {
  const held = await loa.all();
  for (const pair of (live || "").split(",").filter(Boolean).slice(0, 10)) {
    const [id, v] = pair.split(".");
    if (held.some((alert) => alert.id === id && Number(alert.v) >= Number(v))) continue;
    try {
      const answer = await fetch(`/public/alerts/${encodeURIComponent(id)}`, { headers: { accept: "application/json" }, credentials: "omit", signal: AbortSignal.timeout(10e3) });
      if (!answer.ok) continue;
      const alert = await answer.json();
      if (alert.status === "live") await take(await messageOf(alert));
    } catch {
      // The next message names it again.
    }
  }
};

// The public record's words as a push has them.
const messageOf = async (alert) => {
  const t = await tongue();
  const text = alert.texts[t] || alert.texts.vi;
  const marks = [alert.drill && WORDS[t].drill, WORDS[t].marks[alert.purpose]].filter(Boolean);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(alert.incident));
  const cid = btoa(String.fromCharCode(...new Uint8Array(digest))).replace(/\+/g, "-").replace(/\//g, "_").slice(0, 32);
  const isAlert = alert.purpose === "alert" || alert.purpose === "correction";
  return {
    v: String(alert.version),
    kind: alert.drill ? "drill" : isAlert ? (alert.lane === "emergency" ? "emergency" : alert.kind) : alert.purpose,
    id: alert.id,
    cid,
    title: [...marks, text.headline].join(": "),
    body: [text.instruction, text.body].filter(Boolean).join("\n"),
    url: alert.url,
    exp: String(Math.floor(Date.parse(alert.expires) / 1000)),
  };
};

const forgetOld = async () => {
  for (const alert of await loa.all()) if (Number(alert.exp) + KEPT_AFTER_END < now()) await loa.drop(alert.cid);
};

self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(event)));

// What fails here is made up for at the next visit of the page.
const renew = async (event) => {
  const me = await loa.me();
  if (!me || me.leaving) return;
  const { pushManager } = self.registration;
  const options = { userVisibleOnly: true, applicationServerKey: loa.bytes(me.key) };
  const fresh = event.newSubscription || (await pushManager.getSubscription()) || (await pushManager.subscribe(options));
  await loa.register(fresh, me);
};

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(new URL(event.notification.data || "/public/alerts", self.location.origin).href));
});

const open = async (address) => {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = windows.find((client) => client.url === address);
  return there ? there.focus() : self.clients.openWindow(address);
};

self.addEventListener("fetch", (event) => {
  const { pathname, searchParams } = new URL(event.request.url);
  const [, id] = pathname.match(/^\/public\/alerts(?:\/([0-9a-f-]{36}))?$/) || [null, null];
  if (event.request.mode !== "navigate" || id === null) return;
  event.respondWith(online(event.request).then((answer) => answer || offline(id, searchParams.get("lang"))));
});

// `null` when there is no server to speak of. Asked each time: a list kept from before the push could say that there is nothing.
const online = async (request) => {
  try {
    const answer = await fetch(request, { cache: "no-cache", signal: AbortSignal.timeout(10e3) });
    return [502, 503, 504].includes(answer.status) ? null : answer;
  } catch {
    return null;
  }
};

const offline = async (id, asked) => {
  const t = asked === "en" || asked === "vi" ? asked : await tongue();
  const words = WORDS[t];
  const alerts = (await loa.all()).filter((alert) => alert.url);
  // What took an alert's place has its place here, too.
  const found = id ? alerts.filter((alert) => alert.id === id || (alert.ref || "").includes(id)).slice(0, 1) : alerts.filter((alert) => !isOver(alert));
  found.sort((one, other) => rank(one) - rank(other));
  const sheets = found.map((alert) => sheet(alert, words)).join("");
  const heading = found.length === 1 ? titleOf(found[0], words) : words.list;
  return page(t, heading, `<p class="note">${found.length > 0 ? words.offline : words.nothing}</p>${sheets}<p>${words.notAll}</p>`);
};

const rank = ({ kind }) => (GRAVEST.includes(kind) ? GRAVEST.indexOf(kind) : GRAVEST.length);

const escaped = (text) => String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

const sheet = (alert, words) =>
  `<article><h1>${escaped(titleOf(alert, words))}</h1><p class="say">${escaped(alert.body)}</p>${endOf(alert, words)}</article>`;

// What ends an alert is in force until nothing.
const endOf = (alert, words) =>
  ["recall", "all_clear"].includes(alert.kind) ? "" : `<p><strong>${isOver(alert) ? words.ended : words.until} ${moment(Number(alert.exp))}</strong></p>`;

const STYLE = `:root{color-scheme:light dark}body{margin:0 auto;max-width:44rem;padding:1rem;font:1.0625rem/1.65 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.45rem;line-height:1.35}.say{white-space:pre-line}.note{border-left:.3rem solid;padding-left:.9rem}article{border-bottom:1px solid}`;

const page = (t, title, main) => {
  const nonce = crypto.randomUUID();
  const policy = `default-src 'none'; style-src 'nonce-${nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  const words = WORDS[t];
  const html =
    `<!doctype html><html lang="${t}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">` +
    `<title>${escaped(title)} · ${words.home}</title><style nonce="${nonce}">${STYLE}</style></head><body><p>${words.home}</p><main>${main}` +
    `<p><a href="">${words.again}</a></p></main><footer><p>${words.numbers}</p></footer></body></html>`;
  const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": policy, "cache-control": "no-store", "referrer-policy": "no-referrer" };
  return new Response(html, { headers });
};
