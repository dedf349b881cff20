// A device of a test: `node client.mjs EXAMPLE OPTIONS`; commands come as JSON lines on stdin, events leave on stdout.
// EXAMPLE is the module that docs/push.md shows.
import { createInterface } from "node:readline";

const [example, options] = process.argv.slice(2);
const { connectPush } = await import(example);
const settings = JSON.parse(options);
const realNow = Date.now;
Date.now = () => realNow() + (settings.clockSkewMs ?? 0);
const tell = (name, payload) => console.log(JSON.stringify([name, payload ?? null]));

const socket = connectPush({
  ...settings,
  sync: () => tell("sync"),
  receive: tell,
  ended: (code, data) => tell("ended", { code, data }),
});
socket.on("disconnect", (reason) => tell("disconnect", reason));

for await (const line of createInterface({ input: process.stdin })) {
  const { typing, close } = JSON.parse(line);
  if (typing) socket.emit("typing", { peerId: typing }, (answer) => tell("typing answer", answer));
  if (close) break;
}
socket.disconnect();
