// 签名：在集合的每个请求之前运行，算法见 docs/protocol.zh-CN.md。
// Signs every request of the collection before it is sent, as docs/protocol.md describes.
// 它读取请求的参数，填写变量 {{timestamp}} {{nonce}} {{sign}} 和一次性的 {{uuid}}。
// It reads the request's parameters and sets the variables {{timestamp}} {{nonce}} {{sign}}, and {{uuid}} for one use.
// 参数里不要用 {{$guid}} 一类的动态变量（每次取值都不同）；GET 参数值中的 & + % 请写成 %26 %2B %25。
// Do not use dynamic variables such as {{$guid}} in parameters: each reading of them differs. In the values of GET
// parameters write & + % as %26 %2B %25.
const CryptoJS = require("crypto-js");
const resolve = (text) => pm.variables.replaceIn(String(text ?? ""));
const uuid = () => pm.variables.replaceIn("{{$guid}}");
const isGet = pm.request.method === "GET";

function declaredParams() {
  const body = pm.request.body;
  const list = isGet ? pm.request.url.query : body && body[body.mode];
  const enabled = list && list.all ? list.all().filter((one) => !one.disabled && one.type !== "file") : [];
  return enabled.map((one) => [one.key, one.value]);
}

function fromQuery(text) {
  try {
    return decodeURIComponent(text.replace(/\+/g, " "));
  } catch (error) {
    return text;
  }
}

// 按字节（UTF-8）排序；JavaScript 默认按 UTF-16 排序，遇到 emoji 等字符结果不同。
// By UTF-8 byte, which is the order of code points; JavaScript's own order is that of UTF-16.
function byCodePoint(a, b) {
  const left = Array.from(a, (char) => char.codePointAt(0)), right = Array.from(b, (char) => char.codePointAt(0));
  const at = left.findIndex((code, i) => code !== right[i]);
  return at < 0 ? left.length - right.length : (right[at] === undefined ? 1 : left[at] - right[at]);
}

// RFC 3986：encodeURIComponent 不编码 ! ' ( ) *，这里补上。
// encodeURIComponent leaves ! ' ( ) * as they are; RFC 3986 does not.
const encode = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => "%" + char.charCodeAt(0).toString(16).toUpperCase());

function signMd5(params, secret) {
  const outside = ["timestamp", "nonce", "token"];
  const pairs = Object.keys(params).filter((name) => !outside.includes(name)).map((name) => `${name}=${params[name]}`);
  const message = pairs.sort(byCodePoint).join("&");
  return CryptoJS.MD5(message + (params.token ?? "") + params.timestamp + params.nonce + secret).toString();
}

function signHmac(params, secret, path, fileSha256) {
  const query = Object.keys(params).sort(byCodePoint).map((name) => `${encode(name)}=${encode(params[name])}`).join("&");
  const text = [pm.request.method, path, query, fileSha256].join("\n");
  return CryptoJS.HmacSHA256(text, secret).toString();
}

function sign(path) {
  pm.variables.set("timestamp", String(Date.now() + Number(pm.environment.get("clock_offset_ms") || 0)));
  pm.variables.set("nonce", uuid());
  pm.variables.set("uuid", uuid());
  const params = {};
  for (const [name, value] of declaredParams()) {
    if (name !== "sign") params[name] = isGet ? fromQuery(resolve(value)) : resolve(value);
  }
  const secret = resolve("{{appsecret}}");
  if (!secret || secret === "{{appsecret}}") {
    throw new Error("请选择环境并填写 appkey 和 appsecret（服务器启动时会打印） · choose the environment and fill in " +
      "appkey and appsecret (the server prints them at its start)");
  }
  // 脚本读不到文件，所以随文件给出它的 SHA-256。 · Scripts cannot read files: their SHA-256 is a parameter.
  const fileSha256 = params.fileSha256 ?? CryptoJS.SHA256("").toString();
  const signature = params.sign_method === "hmac-sha256"
    ? signHmac(params, secret, path, fileSha256)
    : signMd5(params, secret);
  pm.variables.set("sign", signature);
}

// 同一号码两次验证码之间须间隔 sms_gap_s 秒（默认 60）：这里自动等待。
// Two codes to one number are sms_gap_s seconds apart (60 by default): wait for that here.
function waitMs(path) {
  if (!path.endsWith("/api/auth/sendsms")) return 0;
  const sent = JSON.parse(pm.environment.get("sms_sent") || "{}");
  const phone = resolve((declaredParams().find(([name]) => name === "phone") ?? [])[1]);
  const gapMs = 1000 * (Number(pm.environment.get("sms_gap_s") || 60) + 1);
  const wait = Math.max(0, (sent[phone] ?? 0) + gapMs - Date.now());
  sent[phone] = Date.now() + wait;
  pm.environment.set("sms_sent", JSON.stringify(sent));
  if (wait) console.log(`等待 ${Math.ceil(wait / 1000)} 秒后再发送验证码 · waiting ${Math.ceil(wait / 1000)} s before the next code`);
  return wait;
}

if (declaredParams().some(([name]) => name === "sign")) {
  const path = resolve(pm.request.url.toString()).replace(/^https?:\/\/[^/?#]*/, "").split(/[?#]/)[0];
  const wait = waitMs(path);
  if (wait) setTimeout(() => sign(path), wait);
  else sign(path);
}
