// Every page that the galleries of the tests have left under target/gallery, examined by axe (WCAG 2.2 A and AA, and what axe calls best
// practice) as a phone and as a desk see it, in light and in dark.
"use strict";
const { chromium } = require("playwright-core");
const fs = require("node:fs");
const path = require("node:path");

const folder = process.env.LOA_GALLERY;
const only = process.argv[2] || "";
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

(async () => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
  const pages = fs.readdirSync(folder).filter((name) => name.endsWith(".html") && name.includes(only));
  const found = new Map();
  let passed = 0;
  for (const [width, colorScheme] of [[360, "light"], [1440, "dark"]]) {
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
    const page = await context.newPage();
    // The pages as they are without their scripts; those are looked at in the journeys.
    await page.route(/\.js$/, (route) => route.abort());
    for (const name of pages) {
      await page.goto(`file://${path.join(folder, name)}`);
      await page.evaluate(axe);
      const { violations } = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })");
      if (violations.length === 0) passed += 1;
      for (const { id, help, nodes } of violations) {
        const where = found.get(`${id}: ${help}`) ?? [];
        where.push(`${name} ${width} ${colorScheme}: ${nodes.slice(0, 2).map((node) => node.html.slice(0, 160)).join(" | ")}`);
        found.set(`${id}: ${help}`, where);
      }
    }
    await context.close();
  }
  await browser.close();
  for (const [rule, where] of found) console.log(`FAIL ${rule} (${where.length})\n     ${where.slice(0, 4).join("\n     ")}`);
  const looks = pages.length * 2;
  console.log(`${passed} passed, ${looks - passed} failed`);
  process.exit(pages.length > 0 && passed === looks ? 0 : 1);
})();
