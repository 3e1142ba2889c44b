// The whole journey in a real browser, in Vietnamese, on the demo's own machines: an agency's officer writes and submits, the approver is
// called by the list, approves and watches it go out; it is public; it is called back.
"use strict";
const { chromium } = require("playwright-core");
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const { LOA_BROWSER_PLACE: place, LOA_BROWSER_DEMO: demo } = process.env;
const DEVICES = "3000";
let passed = 0;
const pages = [];
const step = async (promise, done) => {
  try {
    await done();
    passed += 1;
    console.log(`ok   ${promise}`);
  } catch (error) {
    await Promise.all(pages.map((page, at) => page.screenshot({ path: path.join(place, `journey-failed-${at}.png`) })));
    console.log(`FAIL ${promise}\n${error.stack}`);
    console.log(`${passed} passed, 1 failed`);
    throw error;
  }
};
const is = (found, wanted, what) => {
  if (found !== wanted) throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
};

// Started as `make demo` starts it; what it prints for people is all we know of it.
const start = () =>
  new Promise((resolve, reject) => {
    const child = spawn(demo, ["--devices", DEVICES], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    const log = fs.createWriteStream(path.join(place, "demo.log"));
    child.stderr.on("data", (piece) => {
      log.write(piece);
      said += piece;
      if (!said.includes("Ctrl-C")) return;
      const login = (word) => said.match(new RegExp(`^ +(\\S+) +[^\\n]*${word}`, "m"))[1];
      resolve({
        child,
        base: said.match(/(\S+)\/console\n/)[1],
        password: said.match(/password +(\S+)/)[1],
        writer: login("writes an alert"),
        approver: login("approves, watches"),
      });
    });
    child.once("exit", (code) => reject(new Error(`the demo ended with ${code}: ${said.slice(-3000)}`)));
  });
const end = (child) =>
  new Promise((resolve) => {
    child.removeAllListeners("exit");
    child.once("exit", resolve);
    child.kill("SIGINT");
  });

const tomorrow = () => new Date(Date.now() + (7 + 20) * 3600e3).toISOString().slice(0, 16);
const today = () => new Date(Date.now() + 7 * 3600e3).toISOString().slice(0, 10);
const HEADLINE = "Nguy cơ lũ quét ở suối thử nghiệm: rời khỏi ven suối ngay";

const main = async () => {
  const { child, base, password, writer, approver } = await start();
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
  const errors = [];
  const person = async (login) => {
    const context = await browser.newContext({ locale: "vi-VN", viewport: { width: 1440, height: 900 } });
    const page = await context.newPage();
    page.on("console", (line) => line.type() === "error" && errors.push(line.text()));
    page.on("pageerror", (error) => errors.push(error.message));
    pages.push(page);
    page.setDefaultTimeout(20_000);
    await page.goto(`${base}/console/sign-in`);
    await page.fill("#login", login);
    await page.fill("input[type=password]", password);
    await page.click("main form:has(#login) button");
    await page.waitForURL((url) => !url.pathname.includes("sign-in"));
    return page;
  };
  const shot = (page, name) => page.screenshot({ path: path.join(place, `journey-${name}.png`) });
  try {
    const desk = await person(approver);
    const agency = await person(writer);
    let alert;

    await step("an officer begins with a sample, and the draft keeps itself while it is written", async () => {
      await agency.click("text=Soạn tin");
      await agency.click("button[value=flash-flood]");
      await agency.waitForSelector("#write");
      const version = await agency.inputValue("input[name=version]");
      await agency.fill("[name='texts.vi.headline']", HEADLINE);
      await agency.waitForFunction((before) => document.querySelector("input[name=version]").value !== before, version);
      await agency.waitForSelector(`#preview .web .t:has-text("${HEADLINE}")`);
    });
    await step("what is missing is named beside its field, and nothing typed is lost", async () => {
      await agency.click("button[value=submit]");
      await agency.waitForSelector("text=Chưa gửi được");
      is(await agency.inputValue("[name='texts.vi.headline']"), HEADLINE, "the headline");
      is(await agency.isVisible("text=Còn chỗ chưa điền"), true, "the gaps of the sample");
      await shot(agency, "missing");
    });
    await step("filled in, with its document, it is submitted", async () => {
      await agency.fill("[name='texts.vi.instruction']", "Rời ngay nhà ven suối, lên trường học trên đồi. Không qua ngầm tràn.");
      await agency.fill("[name='texts.vi.body']", "Mưa 120 mm trong 3 giờ qua; nước suối đang lên nhanh.");
      await agency.selectOption("#severity", "extreme");
      await agency.selectOption("#certainty", "likely");
      await agency.selectOption("#risk_level", "3");
      await agency.click("summary:has-text('Xã, phường liên quan')");
      await agency.fill("#find", "bao lac");
      await agency.check("label:has-text('Xã Bảo Lạc') input");
      await agency.fill("#expires", tomorrow());
      await agency.fill("[name='source.number']", "15/CB-THU");
      await agency.fill("[name='source.date']", today());
      await agency.fill("[name='source.summary']", "Cảnh báo lũ quét (thử nghiệm)");
      await agency.setInputFiles("#document", "demo/documents/01.pdf");
      await agency.check("[name='attestations.whole_province']");
      await agency.check("[name='attestations.no_state_secret']");
      await agency.waitForSelector("#preview .done");
      await shot(agency, "write");
      await agency.click("button[value=submit]");
      await agency.waitForURL(/\/follow$/);
      alert = new URL(agency.url()).pathname.split("/")[3];
      is(await agency.isVisible("text=chờ Sở Khoa học và Công nghệ duyệt"), true, "who is waited for");
    });
    await step("it arrives on the approver's list by itself", async () => {
      await desk.waitForSelector(`a[href='/console/alerts/${alert}']`);
      await shot(desk, "queue");
    });
    await step("the approver reads exactly what phones show, and approves", async () => {
      await desk.click(`a[href='/console/alerts/${alert}']`);
      await desk.waitForSelector("text=Xã, phường liên quan: Xã Bảo Lạc.");
      await desk.check("input[name=whole_province]");
      await desk.check("input[name=no_state_secret]");
      await shot(desk, "decision");
      await desk.click("form[action$='/approve'] button");
      await desk.waitForURL(/\/console\/broadcasts\//);
    });
    await step("the numbers move until every device has an outcome", async () => {
      await desk.waitForSelector("text=Đã phát", { timeout: 60_000 });
      is((await desk.textContent("#live .reach")).trim().startsWith("100 %"), true, "all of it");
      await shot(desk, "broadcast");
    });
    const citizen = await (await browser.newContext({ locale: "vi-VN", javaScriptEnabled: false, viewport: { width: 360, height: 780 } })).newPage();
    await step("a citizen reads it on the public page, without script", async () => {
      await citizen.goto(`${base}/public/alerts/${alert}`);
      is(await citizen.isVisible(`h1:has-text("${HEADLINE}")`), true, "the headline");
      await shot(citizen, "public");
    });
    await step("it is called back in one step with the text prepared for it", async () => {
      await desk.click("summary:has-text('Thu hồi ngay')");
      await desk.click("form[action$='/recall'] button");
      await desk.waitForSelector("h1:has-text('THU HỒI')");
      await desk.waitForSelector("text=Đã phát", { timeout: 60_000 });
      await citizen.reload();
      is(await citizen.isVisible("text=Tin này đã bị thu hồi lúc"), true, "the public page says so");
      await shot(citizen, "public-recalled");
    });
    await step("no script fails, and nothing is loaded that may not be", async () => {
      // A refused form is answered 422, which the browser writes down as well.
      const real = errors.filter((line) => !line.includes("favicon") && !line.includes("422"));
      is(real.join("\n"), "", "the browser's console");
    });
    console.log(`${passed} passed, 0 failed`);
  } finally {
    await browser.close();
    await end(child);
  }
};

main().catch((error) => {
  console.error(error.message, error.cause ?? "");
  process.exit(1);
});
