// What the browser tests share: a loa of their own, its configuration, steps that are counted.
"use strict";
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");

const { LOA_BROWSER_PLACE: place, LOA_BROWSER_LOA: loa, LOA_BROWSER_DATABASE: database, LOA_BROWSER_BROKER: amqp } = process.env;
const file = (name) => path.join(place, name);
const run = (...args) => execFileSync(loa, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const configured = (...args) => run("--config", file("loa.toml"), ...args);

const count = { passed: 0 };
const step = async (promise, done) => {
  try {
    await done();
    count.passed += 1;
    console.log(`ok   ${promise}`);
  } catch (error) {
    console.log(`FAIL ${promise}\n${error.stack}`);
    console.log(`${count.passed} passed, 1 failed`);
    throw error;
  }
};
const is = (found, wanted, what) => {
  if (found !== wanted) throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
};

const freePort = () =>
  new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

const configure = (port, further) => {
  const trusted = fs.existsSync(file("seal.key"))
    ? fs.readFileSync(file("trusted"), "utf8")
    : run("keygen", "seal", "--id", "demo", "--out", file("seal.key"));
  fs.writeFileSync(file("trusted"), trusted);
  fs.writeFileSync(
    file("loa.toml"),
    `mode = "demo"
[database]
url = "${database}"
[broker]
url = "${amqp}"
[http]
listen = "127.0.0.1:${port}"
public_url = "http://localhost:${port}"
[seal]
signing_key_file = "${file("seal.key")}"
key_id = "demo"
trusted_keys = [${trusted.trim()}]
${further}
`,
  );
};

const serve = async (base) => {
  const child = spawn(loa, ["--config", file("loa.toml"), "serve"], { stdio: ["ignore", "ignore", fs.openSync(file("serve.log"), "a")] });
  for (let tries = 0; tries < 200; tries += 1) {
    if (child.exitCode !== null) throw new Error(`loa serve ended: ${fs.readFileSync(file("serve.log"), "utf8").slice(-2000)}`);
    const up = await fetch(`${base}/healthz`, { headers: { connection: "close" } }).then((answer) => answer.ok, () => false);
    if (up) return child;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("loa serve does not answer");
};
const end = (child) => new Promise((resolve) => child.once("exit", resolve) && child.kill("SIGTERM"));

// Runs one test to its end; its last line says how it went.
const act = (main) =>
  main().then(
    () => console.log(`${count.passed} passed, 0 failed`),
    (error) => {
      console.error(error.message, error.cause ?? "");
      process.exit(1);
    },
  );

module.exports = { act, amqp, configure, configured, database, end, file, freePort, is, run, serve, step };
