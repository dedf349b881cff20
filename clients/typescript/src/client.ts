/** Requests: signed anew for every attempt, with the server's clock, and repeated where that is safe. */
import { type Params, randomId, signHmac } from "./signing.js";

export type Value = string | number | boolean | readonly (string | number)[] | null | undefined;
export type Values = Record<string, Value>;

export interface Login {
  userId: number;
  token: string;
}

export interface ClientOptions {
  /** `https://api.example.com`; the empty string for the page's own origin. */
  baseUrl: string;
  appkey: string;
  appsecret: string;
  /** Language of messages. */
  lang?: "zh" | "en";
  login?: Login | null;
  fetch?: typeof fetch;
  /** Milliseconds before an attempt is given up. */
  timeoutMs?: number;
  /** Called when the login has ended (1101) or the account is banned (1102). */
  onLoginEnded?: (error: ApiError) => void;
}

/** An answer whose `code` is not 0. */
export class ApiError extends Error {
  constructor(
    readonly code: number,
    message: string,
    readonly data: Record<string, unknown> = {},
    readonly status = 200,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** No answer, or none that a server of this API gives: the request may or may not have happened. */
export class NetworkError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "NetworkError";
  }
}

const ATTEMPTS = 4;
const EXPIRED = 1001;
const REPLAYED = 1002;

export const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class Client {
  login: Login | null;
  lang: "zh" | "en";
  /** Server time minus local time, in milliseconds. */
  clockOffsetMs = 0;

  constructor(readonly options: ClientOptions) {
    this.login = options.login ?? null;
    this.lang = options.lang ?? "zh";
  }

  get<T>(path: string, values: Values = {}): Promise<T> {
    return this.request<T>("GET", path, values, undefined, true);
  }

  /** @param repeat whether it may be repeated when nobody knows what became of it: true for a call with a `clientId`. */
  post<T>(path: string, values: Values = {}, repeat = false): Promise<T> {
    return this.request<T>("POST", path, values, undefined, repeat);
  }

  /** Upload a file; `kind` is photo, image, audio or video. */
  upload<T>(kind: string, file: Blob): Promise<T> {
    return this.request<T>("POST", "/api/media/upload", { kind }, file, false);
  }

  /** The common parameters and the signature, for a request or for the `auth` of Socket.IO. */
  signed(method: string, path: string, values: Values, file?: Uint8Array): Params {
    const params = toParams(values);
    params.appkey = this.options.appkey;
    params.timestamp = String(Date.now() + this.clockOffsetMs);
    params.nonce = randomId();
    params.sign_method = "hmac-sha256";
    params.lang = this.lang;
    if (this.login !== null) {
      params.userId = String(this.login.userId);
      params.token = this.login.token;
    }
    params.sign = signHmac(this.options.appsecret, method, path, params, file);
    return params;
  }

  /** Set the clock by an answer that says what time it is. */
  setClock(serverTimeMs: number): void {
    this.clockOffsetMs = serverTimeMs - Date.now();
  }

  private async request<T>(
    method: "GET" | "POST", path: string, values: Values, file: Blob | undefined, repeat: boolean,
  ): Promise<T> {
    const bytes = file === undefined ? undefined : new Uint8Array(await file.arrayBuffer());
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.attempt<T>(method, path, values, file, bytes);
      } catch (error) {
        const pauseMs = this.pauseBefore(error, attempt, repeat);
        if (pauseMs === null) throw error;
        await wait(pauseMs);
      }
    }
  }

  /** Milliseconds to wait before another attempt; null if there is to be none. */
  private pauseBefore(error: unknown, attempt: number, repeat: boolean): number | null {
    if (attempt >= ATTEMPTS) return null;
    const backoffMs = 200 * 2 ** attempt * (0.5 + Math.random());
    if (error instanceof NetworkError) return repeat ? backoffMs : null;
    if (!(error instanceof ApiError)) return null;
    if (error.code === EXPIRED) {
      if (typeof error.data.server_time === "number") this.setClock(error.data.server_time);
      return typeof error.data.retry_after_ms === "number" ? error.data.retry_after_ms : 0;
    }
    // The attempt before arrived after all; what it did, only an endpoint with a clientId can tell.
    if (error.code === REPLAYED) return repeat ? 0 : null;
    if (error.status === 429) {
      const seconds = Number(error.data.retry_after_s ?? 1);
      return seconds <= 10 ? seconds * 1000 : null;
    }
    return error.status >= 500 && repeat ? backoffMs : null;
  }

  private async attempt<T>(
    method: "GET" | "POST", path: string, values: Values, file?: Blob, bytes?: Uint8Array,
  ): Promise<T> {
    const params = this.signed(method, path, values, bytes);
    const init: RequestInit = { method, signal: AbortSignal.timeout(this.options.timeoutMs ?? 20_000) };
    let url = this.options.baseUrl + path;
    if (method === "GET") {
      url += "?" + new URLSearchParams(params).toString();
    } else if (file === undefined) {
      init.body = new URLSearchParams(params);
    } else {
      const form = new FormData();
      for (const [name, value] of Object.entries(params)) form.append(name, value);
      form.append("file", file, "file");
      init.body = form;
    }
    let response: Response;
    let answer: { code?: unknown; msg?: unknown; data?: unknown };
    try {
      response = await (this.options.fetch ?? fetch)(url, init);
      answer = (await response.json()) as typeof answer;
    } catch (error) {
      throw new NetworkError(error instanceof Error ? error.message : String(error));
    }
    if (typeof answer?.code !== "number") throw new NetworkError(`HTTP ${response.status} without a code`);
    if (answer.code === 0) return answer.data as T;
    const refused = new ApiError(
      answer.code, String(answer.msg ?? ""), (answer.data ?? {}) as Record<string, unknown>, response.status,
    );
    if (answer.code === 1101 || answer.code === 1102) this.options.onLoginEnded?.(refused);
    throw refused;
  }
}

function toParams(values: Values): Params {
  const params: Params = {};
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined) continue;
    if (Array.isArray(value)) params[name] = value.join(",");
    else if (typeof value === "boolean") params[name] = value ? "1" : "0";
    else params[name] = String(value);
  }
  return params;
}
