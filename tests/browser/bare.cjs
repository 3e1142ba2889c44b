// The essential steps with less than most people have: an officer whose browser runs no script, and an approver who has no mouse.
"use strict";
const { chromium } = require("playwright-core");
const demo = require("./demo.cjs");

const { is } = demo;
const { pages, step, passed } = demo.steps("bare");
const HEADLINE = "Lũ quét ở suối thử nghiệm: rời khỏi ven suối ngay";

const main = async () => {
  const { child, base, password, writer, approver } = await demo.start();
  const browser = await demo.launch(chromium);
  const open = async (options) => {
    const context = await browser.newContext({ locale: "vi-VN", viewport: { width: 1440, height: 900 }, ...options });
    const page = await context.newPage();
    pages.push(page);
    page.setDefaultTimeout(20_000);
    await page.goto(`${base}/console/sign-in`);
    return page;
  };
  try {
    const agency = await open({ javaScriptEnabled: false });
    const desk = await open({});
    let alert;

    await step("without script: signed in, begun with a sample", async () => {
      await agency.fill("#login", writer);
      await agency.fill("input[type=password]", password);
      await agency.click("main form:has(#login) button");
      await agency.click("text=Soạn tin");
      await agency.click("button[value=flash-flood]");
      is(await agency.isVisible("#write"), true, "the form");
    });
    await step("without script: what is missing is named, and nothing typed is lost", async () => {
      await agency.fill("[name='texts.vi.headline']", HEADLINE);
      await agency.click("button[value=submit]");
      is(await agency.isVisible("text=Chưa gửi được"), true, "why not");
      is(await agency.inputValue("[name='texts.vi.headline']"), HEADLINE, "the headline");
    });
    await step("without script: a draft is kept by its button, with a preview", async () => {
      await demo.fill(agency, HEADLINE);
      await agency.click(".foot button[value=save]");
      is(await agency.inputValue("[name='source.number']"), "15/CB-THU", "what was kept");
      is(await agency.isVisible(`#preview .web .t:has-text("${HEADLINE}")`), true, "the preview");
      await demo.shot(agency, "bare-draft");
    });
    await step("without script: submitted", async () => {
      await agency.click("button[value=submit]");
      await agency.waitForURL(/\/follow$/);
      alert = new URL(agency.url()).pathname.split("/")[3];
      is(await agency.isVisible("text=chờ Sở Khoa học và Công nghệ duyệt"), true, "who is waited for");
    });

    const focused = (what) => desk.evaluate((selector) => document.activeElement?.matches(selector) ?? false, what);
    // Who sees where the keyboard is: a frame around whatever holds it.
    const reach = async (what) => {
      for (let presses = 0; presses < 120; presses += 1) {
        const inDocument = await focused("iframe");
        await desk.keyboard.press("Tab");
        // The frame that shows the document is a process of its own, and lets go of the focus a moment later: nobody types as fast.
        if (inDocument) await desk.waitForTimeout(250);
        if (!(await focused(what))) continue;
        const frame = await desk.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        is(frame === "none", false, `a frame around ${what} is missing`);
        return;
      }
      throw new Error(`${what} is out of the keyboard's reach`);
    };
    await step("without a mouse: signed in", async () => {
      await reach("#login");
      await desk.keyboard.type(approver);
      await reach("input[type=password]");
      await desk.keyboard.type(password);
      await desk.keyboard.press("Enter");
      await desk.waitForURL((url) => !url.pathname.includes("sign-in"));
    });
    await step("without a mouse: past the head of the page, to the alert that waits", async () => {
      await desk.keyboard.press("Tab");
      is(await focused("a.skip"), true, "the first stop leads past the head");
      await desk.keyboard.press("Enter");
      await reach(`a[href='/console/alerts/${alert}']`);
      await desk.keyboard.press("Enter");
      await desk.waitForURL(new RegExp(alert));
    });
    await step("without a mouse: attested and approved", async () => {
      for (const box of ["input[name=whole_province]", "input[name=no_state_secret]"]) {
        await reach(box);
        await desk.keyboard.press("Space");
        is(await desk.isChecked(box), true, `${box} is ticked by the space bar`);
      }
      await reach("form[action$='/approve'] button");
      await desk.keyboard.press("Enter");
      await desk.waitForURL(/\/console\/broadcasts\//);
      await desk.waitForSelector("text=Đã phát", { timeout: 60_000 });
    });
    await step("without script: the agency sees how it went", async () => {
      await agency.reload();
      is(await agency.isVisible("text=100 %"), true, "all of it");
      is(await agency.isVisible("h2:has-text('Diễn biến')"), true, "how it went");
      await demo.shot(agency, "bare-follow");
    });
    await step("without a mouse: called back", async () => {
      await reach("details.danger summary");
      await desk.keyboard.press("Enter");
      await reach("form[action$='/recall'] button");
      await desk.keyboard.press("Enter");
      await desk.waitForSelector("h1:has-text('THU HỒI')");
    });
    await step("without script: the numbers are asked for by a press, until it is over", async () => {
      const watching = await open({ javaScriptEnabled: false });
      await watching.fill("#login", approver);
      await watching.fill("input[type=password]", password);
      await watching.click("main form:has(#login) button");
      await watching.goto(desk.url());
      // It never reloads by itself: that would take what somebody is typing with it.
      is(await watching.locator("meta[http-equiv=refresh]").count(), 0, "no reload by itself");
      for (let tries = 0; tries < 60 && !(await watching.isVisible("text=Đã phát")); tries += 1) {
        await watching.click("a:has-text('Xem số liệu mới')");
        await watching.waitForTimeout(1_000);
      }
      is(await watching.isVisible("text=Đã phát"), true, "over");
      is(await watching.isVisible("a:has-text('Xem số liệu mới')"), false, "nothing more to come");
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
