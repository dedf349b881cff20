"use strict";
// Signs requests with hmac-sha256 as docs/protocol.md describes it. The secret never leaves this page.

const Signing = (() => {
  const encoder = new TextEncoder();

  const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

  // RFC 3986: what encodeURIComponent leaves alone beyond the unreserved characters is encoded, too.
  const encode = (text) =>
    encodeURIComponent(text).replace(/[!'()*]/g, (sign) => "%" + sign.charCodeAt(0).toString(16).toUpperCase());

  const sha256 = async (bytes) => hex(await crypto.subtle.digest("SHA-256", bytes));

  async function hmac(secret, text) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
    return hex(await crypto.subtle.sign("HMAC", key, encoder.encode(text)));
  }

  function nonce() {
    return hex(crypto.getRandomValues(new Uint8Array(12)));
  }

  // The string that is signed; params is a Map without "sign", file a Blob or null.
  async function stringToSign(method, path, params, file) {
    const pairs = [...params.keys()].sort().map((name) => `${encode(name)}=${encode(params.get(name))}`);
    const digest = await sha256(file === null ? new Uint8Array() : await file.arrayBuffer());
    return `${method}\n${path}\n${pairs.join("&")}\n${digest}`;
  }

  // Adds timestamp, nonce, sign_method and sign.
  async function sign(method, path, params, file, secret, clockOffsetMs) {
    params.set("timestamp", String(Date.now() + clockOffsetMs));
    params.set("nonce", nonce());
    params.set("sign_method", "hmac-sha256");
    params.delete("sign");
    params.set("sign", await hmac(secret, await stringToSign(method, path, params, file)));
  }

  // Browsers offer it on https, and on http only to 127.0.0.1 and localhost.
  const isPossible = () => Boolean(globalThis.crypto && crypto.subtle);

  return { sign, isPossible };
})();
