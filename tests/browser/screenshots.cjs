// The pages that the README shows, from the samples under target/gallery: as a phone, a tablet and a desk show them, in light and in dark.
"use strict";
const { chromium } = require("playwright-core");
const fs = require("node:fs");
const path = require("node:path");

const { LOA_GALLERY: folder, LOA_SCREENSHOTS: to } = process.env;
const PAGES = {
  write: "console-write",
  queue: "console-queue",
  decision: "console-decision",
  broadcast: "console-broadcast",
  operate: "console-operate",
  reports: "console-reports-month",
  devices: "console-devices",
  list: "public-list",
  alert: "public-flood",
};
const SIZES = [[360, 780], [768, 1024], [1440, 900]];

(async () => {
  fs.mkdirSync(to, { recursive: true });
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
  for (const [width, height] of SIZES) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme, locale: "vi-VN", javaScriptEnabled: false });
      const page = await context.newPage();
      for (const [name, sample] of Object.entries(PAGES)) {
        await page.goto(`file://${path.join(folder, `${sample}.html`)}`);
        await page.screenshot({ path: path.join(to, `${name}-${width}-${colorScheme}.png`) });
      }
      await context.close();
    }
  }
  await browser.close();
  console.log(`${Object.keys(PAGES).length * SIZES.length * 2} screenshots in ${to}`);
})();
