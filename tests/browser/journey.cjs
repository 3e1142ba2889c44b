// The whole journey in a real browser, in Vietnamese, on the demo's own machines: an agency's officer writes and submits, the approver is
// called by the list, approves and watches it go out; it is public; it is called back.
"use strict";
const { chromium } = require("playwright-core");
const demo = require("./demo.cjs");

const { is } = demo;
const { pages, step, passed } = demo.steps("journey");
const HEADLINE = "Nguy cơ lũ quét ở suối thử nghiệm: rời khỏi ven suối ngay";

const main = async () => {
  const { child, base, password, writer, approver } = await demo.start();
  const browser = await demo.launch(chromium);
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
  const shot = (page, name) => demo.shot(page, `journey-${name}`);
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
      await demo.fill(agency, HEADLINE);
      await agency.click("summary:has-text('Xã, phường liên quan')");
      await agency.fill("#find", "bao lac");
      await agency.check("label:has-text('Xã Bảo Lạc') input");
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
    await step("a broken connection shows itself, and comes back by itself", async () => {
      await desk.context().setOffline(true);
      await desk.waitForSelector("#lost", { state: "visible" });
      await shot(desk, "lost");
      await desk.context().setOffline(false);
      await desk.waitForSelector("#lost", { state: "hidden" });
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
      is(await desk.isVisible("tr:has-text('99 % thiết bị')"), true, "how long it took");
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
      // A refused form is answered 422, and what is asked for without a network fails: the browser writes both down as well.
      const expected = ["favicon", "422", "ERR_INTERNET_DISCONNECTED"];
      const real = errors.filter((line) => !expected.some((word) => line.includes(word)));
      is(real.join("\n"), "", "the browser's console");
    });
    console.log(`${passed()} passed, 0 failed`);
  } finally {
    await browser.close();
    await demo.end(child);
  }
};

main().catch((error) => {
  console.error(error.message, error.cause ?? "");
  process.exit(1);
});
