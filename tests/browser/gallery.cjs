// Every page that the galleries of the tests have left under target/gallery, as a phone and as a desk see it, in light and in dark.
"use strict";
const { chromium } = require("playwright-core");
const fs = require("node:fs");
const path = require("node:path");

const [folder, to, only] = [process.env.LOA_GALLERY, process.env.LOA_GALLERY_SHOTS, process.argv[2] || ""];

(async () => {
  fs.mkdirSync(to, { recursive: true });
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
  const pages = fs.readdirSync(folder).filter((name) => name.endsWith(".html") && name.includes(only));
  let wide = 0;
  for (const [width, colorScheme] of [[360, "light"], [360, "dark"], [1280, "light"], [1280, "dark"]]) {
    const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme, javaScriptEnabled: false });
    const page = await context.newPage();
    for (const name of pages) {
      await page.goto(`file://${path.join(folder, name)}`);
      await page.screenshot({ path: path.join(to, `${name.replace(".html", "")}-${width}-${colorScheme}.png`), fullPage: true });
    }
    await context.close();
  }
  // Nothing may be wider than a small phone.
  const phone = await (await browser.newContext({ viewport: { width: 360, height: 800 } })).newPage();
  for (const name of pages) {
    await phone.goto(`file://${path.join(folder, name)}`);
    const width = await phone.evaluate("document.documentElement.scrollWidth");
    if (width > 360) {
      wide += 1;
      console.log(`FAIL ${name} is ${width} px wide on a phone of 360`);
    }
  }
  await browser.close();
  console.log(`${pages.length} pages in ${to}, ${wide} too wide`);
  process.exit(wide === 0 ? 0 : 1);
})();
