/** Signing of requests: HMAC-SHA256 for new clients, and md5 as the articles describe it. */
import { hmac } from "@noble/hashes/hmac.js";
import { md5 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, randomBytes, utf8ToBytes } from "@noble/hashes/utils.js";

export type Params = Record<string, string>;

/** Percent-encoding of RFC 3986: `encodeURIComponent` leaves `!'()*` alone, the signature does not. */
export function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => "%" + character.charCodeAt(0).toString(16).toUpperCase(),
  );
}

/** Order by UTF-8 bytes, which for names in ASCII is the order of `<`. */
function byName([a]: [string, string], [b]: [string, string]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** SHA-256 in lower-case hex. */
export function sha256Hex(bytes: Uint8Array): string {
  return bytesToHex(sha256(bytes));
}

/** The text that HMAC-SHA256 signs. `path` is sent as it stands here, without the query. */
export function textToSign(method: string, path: string, params: Params, file?: Uint8Array): string {
  const pairs = Object.entries(params)
    .filter(([name]) => name !== "sign")
    .sort(byName)
    .map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`);
  return [method, path, pairs.join("&"), sha256Hex(file ?? new Uint8Array())].join("\n");
}

/** The signature of `sign_method=hmac-sha256`. */
export function signHmac(
  secret: string, method: string, path: string, params: Params, file?: Uint8Array,
): string {
  return bytesToHex(hmac(sha256, utf8ToBytes(secret), utf8ToBytes(textToSign(method, path, params, file))));
}

/** The signature of `sign_method=md5`, for clients that must speak it. */
export function signMd5(secret: string, params: Params): string {
  const { timestamp = "", nonce = "", token = "" } = params;
  const message = Object.entries(params)
    .filter(([name]) => !["timestamp", "nonce", "token", "sign"].includes(name))
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join("&");
  return bytesToHex(md5(utf8ToBytes(message + token + timestamp + nonce + secret)));
}

/** 96 random bits in hex: a nonce or a `clientId`. */
export function randomId(): string {
  return bytesToHex(randomBytes(12));
}
