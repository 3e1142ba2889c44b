// The console in a real browser, step by step as an approver takes it.
"use strict";
const { chromium } = require("playwright-core");
const fs = require("node:fs");
const { act, configure, configured, end, file, freePort, is, run, serve, step } = require("./stage.cjs");

// An agency's system submits the demo's first warning.
const submit = async (base, key) => {
  const as = { authorization: `Bearer ${key}`, "content-type": "application/json", connection: "close" };
  const call = async (method, address, body) => {
    const answer = await fetch(base + address, { method, headers: as, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${method} ${address}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  const { request, expires_in_minutes: minutes } = JSON.parse(fs.readFileSync("demo/alerts/01-lu-quet-sat-lo-dat.json", "utf8"));
  const expires = new Date(Date.now() + minutes * 60e3).toISOString().replace(/\.\d+Z/, "Z");
  const made = await call("POST", "/v1/alerts", { ...request, expires });
  const put = await fetch(`${base}/v1/alerts/${made.id}/document`, {
    method: "PUT",
    headers: { ...as, "content-type": "application/pdf" },
    body: fs.readFileSync("demo/documents/01.pdf"),
  });
  if (!put.ok) throw new Error(`document: ${put.status} ${await put.text()}`);
  await call("POST", `/v1/alerts/${made.id}/submit`);
  return made.id;
};

const main = async () => {
  for (const name of ["seal.key", "root.key", "approvers.json", "serve.log"]) fs.rmSync(file(name), { force: true });
  const port = await freePort();
  const base = `http://localhost:${port}`;
  configure(port, "");
  configured("migrate");
  configured("accounts", "agency", "--code", "SKHCN", "--name", "Sở Khoa học và Công nghệ", "--focal");
  configured("accounts", "agency", "--code", "SNNMT", "--name", "Sở Nông nghiệp và Môi trường");
  configured("accounts", "officer", "--agency", "SKHCN", "--name", "Lãnh đạo trực duyệt 01", "--login", "duyet01", "--person", "cb-1", "--role", "approver");
  configured("accounts", "officer", "--agency", "SNNMT", "--name", "Cán bộ soạn thảo 01", "--login", "soanthao01", "--person", "cb-2", "--role", "submitter");
  const key = configured("accounts", "key", "--login", "soanthao01", "--label", "may").trim();
  const [first, second] = configured("accounts", "invite", "--login", "duyet01").trim().split("\n");
  let child = await serve(base);
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage({ locale: "vi-VN", viewport: { width: 1280, height: 900 } });
    const errors = [];
    page.on("console", (line) => line.type() === "error" && errors.push(line.text()));
    page.on("pageerror", (error) => errors.push(error.message));
    const cdp = await page.context().newCDPSession(page);
    await cdp.send("WebAuthn.enable");
    const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
    const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options });
    const shot = (name) => page.screenshot({ path: file(`${name}.png`), fullPage: true });
    const at = () => new URL(page.url()).pathname;

    await step("whoever was invited is let in to register a passkey", async () => {
      await page.goto(`${base}/console/sign-in`);
      await shot("sign-in");
      await page.click("a[href='/console/invitation']");
      await page.fill("#login", "duyet01");
      await page.fill("#first", first.toLowerCase());
      await page.fill("#second", second);
      await shot("invitation");
      await page.click("main button");
      is(at(), "/console/passkeys", "the page");
    });
    await step("a passkey is registered with the device", async () => {
      await page.fill("#name", "Máy tính của tôi");
      await page.click("form[data-passkey=create] button");
      await page.waitForSelector("text=Máy tính của tôi");
      await shot("passkeys");
    });
    await step("the passkey signs in, without a login", async () => {
      await page.click("form[action='/console/sign-out'] button");
      await page.click("form[data-passkey=get] button");
      await page.waitForURL(`${base}/console`);
    });
    await step("an authenticator that does not know the person lets nobody in, and the page says so", async () => {
      await page.click("form[action='/console/sign-out'] button");
      await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
      await page.click("form[data-passkey=get] button");
      await page.waitForSelector("form[data-passkey=get] [role=alert]:not([hidden])");
      await shot("sign-in-failed");
      is(at(), "/console/sign-in", "the page");
      await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: true });
    });

    // Certified on the machine without a network; serve believes the list from its next start on.
    run("trust", "init", "--root", file("root.key"), "--file", file("approvers.json"), "--rp-id", "localhost", "--origin", base);
    fs.rmSync(file("root.key"));
    fs.rmSync(file("approvers.json"));
    const root = run("trust", "init", "--root", file("root.key"), "--file", file("approvers.json"), "--rp-id", "localhost", "--origin", base).match(/"(.*)"/)[1];
    configure(port, `approvers_file = "${file("approvers.json")}"\napprovers_root = "${root}"`);
    await end(child);
    child = await serve(base);
    await step("the page gives the request that the root key certifies, by the fingerprint it shows", async () => {
      await page.goto(`${base}/console/sign-in?next=/console/passkeys`);
      await page.click("form[data-passkey=get] button");
      await page.waitForURL(`${base}/console/passkeys`);
      await shot("passkeys-certify");
      const fingerprint = await page.textContent("strong.mono");
      const [download] = await Promise.all([page.waitForEvent("download"), page.click("a[download]")]);
      await download.saveAs(file("passkey.json"));
      run("trust", "certify", "--root", file("root.key"), "--file", file("approvers.json"), "--request", file("passkey.json"), "--fingerprint", fingerprint);
    });
    await end(child);
    child = await serve(base);
    const alert = await submit(base, key);
    await step("the approver's passkey seals exactly what is on the screen", async () => {
      await page.goto(`${base}/console/alerts/${alert}`);
      await page.check("input[name=whole_province]");
      await page.check("input[name=no_state_secret]");
      await shot("decision");
      await page.click("form[data-passkey=seal] button");
      await page.waitForURL(/\/console\/broadcasts\//);
      await shot("broadcast");
    });
    await step("the console loads nothing it may not, and no script fails", async () => {
      const real = errors.filter((line) => !line.includes("favicon"));
      is(real.join("\n"), "", "the browser's console");
    });
  } finally {
    await browser.close();
    await end(child);
  }
};

act(main);
