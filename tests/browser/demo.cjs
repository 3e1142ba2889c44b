// What the tests on the demo's own machines share: the demo, started as `make demo` starts it, and people who sign in to it.
"use strict";
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const { LOA_BROWSER_PLACE: place, LOA_BROWSER_DEMO: demo } = process.env;
const DEVICES = "3000";

// What it prints for people is all we know of it.
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

// Steps that are counted; when one fails, there is a picture of every page.
const steps = (name) => {
  const pages = [];
  let passed = 0;
  const step = async (promise, done) => {
    try {
      await done();
      passed += 1;
      console.log(`ok   ${promise}`);
    } catch (error) {
      await Promise.all(pages.map((page, at) => page.screenshot({ path: path.join(place, `${name}-failed-${at}.png`) })));
      console.log(`FAIL ${promise}\n${error.stack}`);
      console.log(`${passed} passed, 1 failed`);
      throw error;
    }
  };
  return { pages, step, passed: () => passed };
};
const is = (found, wanted, what) => {
  if (found !== wanted) throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
};

const tomorrow = () => new Date(Date.now() + (7 + 20) * 3600e3).toISOString().slice(0, 16);
const today = () => new Date(Date.now() + 7 * 3600e3).toISOString().slice(0, 10);

// What the sample of a flash flood leaves open.
const fill = async (page, headline) => {
  await page.fill("[name='texts.vi.headline']", headline);
  await page.fill("[name='texts.vi.instruction']", "Rời ngay nhà ven suối, lên trường học trên đồi. Không qua ngầm tràn.");
  await page.fill("[name='texts.vi.body']", "Mưa 120 mm trong 3 giờ qua; nước suối đang lên nhanh.");
  await page.selectOption("#severity", "extreme");
  await page.selectOption("#certainty", "likely");
  await page.selectOption("#risk_level", "3");
  await page.fill("#expires", tomorrow());
  await page.fill("[name='source.number']", "15/CB-THU");
  await page.fill("[name='source.date']", today());
  await page.fill("[name='source.summary']", "Cảnh báo lũ quét (thử nghiệm)");
  await page.setInputFiles("#document", "demo/documents/01.pdf");
  await page.check("[name='attestations.whole_province']");
  await page.check("[name='attestations.no_state_secret']");
};

const launch = (chromium) => chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
const shot = (page, name) => page.screenshot({ path: path.join(place, `${name}.png`) });

module.exports = { end, fill, is, launch, shot, start, steps };
