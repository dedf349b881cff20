// 每个应答之后运行。 · After every answer.
pm.test("应答带有 X-Request-Id · the answer has X-Request-Id", () => pm.response.to.have.header("X-Request-Id"));
const isJson = (pm.response.headers.get("Content-Type") ?? "").includes("json");
const told = isJson ? pm.response.json() : {};
if (told.code !== 0 && isJson) console.log(pm.info.requestName, JSON.stringify(told));
// 1001：按服务器时间校准时钟，再发送一次即可。 · 1001: the clock is set by the server's; send it again.
if (told.code === 1001 && told.data) pm.environment.set("clock_offset_ms", told.data.server_time - Date.now());
