// Two clients talk through a live server, one of them behind a connection that fails every other time.
//   node live.mjs DIST BASE_URL APPKEY APPSECRET PHONE CODE PHONE CODE
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const [dist, baseUrl, appkey, appsecret, ...logins] = process.argv.slice(2);
const { ApiError, Client, NetworkError, Push, SyncLoop, send, signHmac, signMd5 } = await import(dist);

// The vectors of the protocol.
const vectors = JSON.parse(readFileSync(new URL("../../../tests/data/sign-vectors.json", import.meta.url), "utf8"));
let checked = 0;
for (const { appsecret: secret, method, path, file, params, md5, "hmac-sha256": hmac } of vectors.accepted) {
  const bytes = file ? new TextEncoder().encode(file) : undefined;
  if (hmac) assert.equal(signHmac(secret, method, path, hmac.params, bytes), hmac.sign);
  if (md5) assert.equal(signMd5(secret, params), md5["msg+token, appkey in msg"].sign);
  checked += 1;
}
assert.ok(checked > 3);

async function logIn(phone, code, fetched = fetch) {
  const client = new Client({ baseUrl, appkey, appsecret, fetch: fetched, lang: "en" });
  const told = await client.post("/api/auth/login", { phone, code });
  client.login = { userId: told.user_id, token: told.token };
  return client;
}

// Every third request never arrives, every third one arrives and its answer is lost.
let turn = 0;
const flaky = async (...request) => {
  turn += 1;
  if (turn % 3 === 1) throw new TypeError("dropped on the way there");
  const response = await fetch(...request);
  if (turn % 3 === 2) throw new TypeError("dropped on the way back");
  return response;
};

const alice = await logIn(logins[0], logins[1]);
const bob = await logIn(logins[2], logins[3]);
bob.options.fetch = flaky;

// A wrong clock is set by the answer.
alice.clockOffsetMs = 3_600_000;
await alice.get("/api/app/config");
assert.ok(Math.abs(alice.clockOffsetMs) < 5_000, `clock off by ${alice.clockOffsetMs} ms`);
await assert.rejects(alice.get("/api/user/show", { peerId: "x" }), (error) => error instanceof ApiError && error.code === 300);
const nobody = new Client({ baseUrl: "http://127.0.0.1:9", appkey, appsecret });
await assert.rejects(nobody.get("/api/app/config"), NetworkError);

const begin = await alice.get("/api/message/sync", { since: "latest" });
const heard = [];
let isPushed = false;
const loop = new SyncLoop(alice, {
  position: { pos: begin.next, epoch: begin.epoch },
  onEvent: (event) => void (event.kind === "message" && heard.push(event.message)),
  onReset: () => assert.fail("nothing was set back"),
  idleMs: 500,
});
const running = loop.run();
const push = new Push(alice, { onHint: () => ((isPushed = true), loop.poke()) });

const texts = Array.from({ length: 12 }, (_, number) => `message ${number}`);
for (const content of texts) await send(bob, { peerId: alice.login.userId, type: "text", content });
const deadline = Date.now() + 60_000;
while (heard.length < texts.length && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
assert.deepEqual(heard.map((message) => message.content), texts);
assert.ok(isPushed, "push never said anything");
loop.stop();
push.close();
await running;

// A position of another server: dropped and read again from 0, also where the network fails in the middle of that.
let resets = 0;
const again = [];
const lost = new SyncLoop(alice, {
  position: { pos: 10 ** 9, epoch: begin.epoch },
  onEvent: (event) => void again.push(event.pos),
  onReset: () => {
    resets += 1;
    if (resets === 1) throw new NetworkError("no network");
  },
  idleMs: 200,
});
const rereading = lost.run();
while (again.at(-1) !== loop.position.pos && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
lost.stop();
await rereading;
assert.equal(resets, 2);
assert.deepEqual(again, Array.from({ length: loop.position.pos }, (_, index) => index + 1));

// A connection that was closed after a refusal stays closed.
const stranger = new Client({ baseUrl, appkey, appsecret: "wrong" });
stranger.login = alice.login;
let attempts = 0;
const signed = stranger.signed.bind(stranger);
stranger.signed = (...request) => ((attempts += 1), signed(...request));
const refused = new Push(stranger, { onHint: () => undefined });
while (refused.socket.active || attempts === 0) await new Promise((resolve) => setTimeout(resolve, 20));
refused.close();
await new Promise((resolve) => setTimeout(resolve, 3_500)); // longer than until the next attempt
assert.equal(attempts, 1);
console.log(JSON.stringify({ messages: heard.length, vectors: checked }));
process.exit(0);
