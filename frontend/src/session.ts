/** The login of this page, and the client that it uses. `?who=` keeps several logins apart in one browser. */
import { ApiError, Client, type Card, type Profile } from "@datingtoday/client";
import { reactive, ref } from "vue";
import { showToast } from "vant";
import { lang, t } from "./i18n";

export interface DemoPerson {
  phone: string;
  nickname: string;
}

export interface DemoConfig {
  appkey: string;
  appsecret: string;
  people: DemoPerson[];
  /** The login code of the demo people, on the machine of the server only. */
  code: string | null;
}

export interface Option {
  value: number | string;
  en: string;
  zh: string;
}

export interface AppConfig {
  enumerations: Record<string, Option[]>;
  report_reasons: Option[];
  limits: Record<string, number>;
  payment_channels?: string[];
  vip_rights?: { name: string; free: unknown; vip: unknown }[];
}

export const who = new URLSearchParams(location.search).get("who") ?? "";
const KEY = `login${who}`;

export const demo = ref<DemoConfig | null>(null);
export const app = ref<AppConfig | null>(null);
export const me = ref<Profile | null>(null);
export const state = reactive({ isLoggedIn: false });

export let client: Client;

export async function start(): Promise<void> {
  const answer = await fetch("/demo/config.json");
  demo.value = (await answer.json()) as DemoConfig;
  client = new Client({
    baseUrl: "", appkey: demo.value.appkey, appsecret: demo.value.appsecret, lang: lang.value,
    onLoginEnded: (error) => endLogin(error.message),
  });
  app.value = await client.get<AppConfig>("/api/app/config");
  const kept = localStorage.getItem(KEY);
  if (kept !== null) {
    client.login = JSON.parse(kept) as { userId: number; token: string };
    try {
      await loadMe();
      state.isLoggedIn = true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      forget();
    }
  }
  const person = demo.value.people[Number(who || NaN)];
  if (!state.isLoggedIn && person && demo.value.code !== null) await logInAs(person);
}

/** Step into a demo account: its code works on the machine of the server. */
export async function logInAs(person: DemoPerson): Promise<void> {
  await logIn(person.phone, demo.value?.code ?? "");
}

export async function logIn(phone: string, code: string): Promise<void> {
  const data = await client.post<{ user_id: number; token: string; is_new: boolean }>("/api/auth/login", {
    phone, code, device: `Demo · ${navigator.platform || "Web"}`,
  });
  client.login = { userId: data.user_id, token: data.token };
  localStorage.setItem(KEY, JSON.stringify(client.login));
  await loadMe();
  state.isLoggedIn = true;
}

export async function loadMe(): Promise<void> {
  me.value = await client.get<Profile>("/api/user/show");
}

export async function logOut(): Promise<void> {
  await client.post("/api/auth/logout").catch(() => undefined);
  forget();
}

function forget(): void {
  localStorage.removeItem(KEY);
  client.login = null;
  me.value = null;
  state.isLoggedIn = false;
}

function endLogin(message: string): void {
  if (!state.isLoggedIn) return;
  showToast(message || t("登录已失效"));
  forget();
}

/** The name of a value of an enumeration. */
export function nameOf(enumeration: string, value: number | null | undefined): string {
  const option = app.value?.enumerations[enumeration]?.find((it) => it.value === value);
  return option === undefined ? "" : option[lang.value];
}

export function options(enumeration: string): { text: string; value: number | string }[] {
  return (app.value?.enumerations[enumeration] ?? []).map((it) => ({ text: it[lang.value], value: it.value }));
}

export function subtitle(card: Pick<Card, "age" | "height" | "education">): string {
  return [
    card.age ? t("{} 岁", card.age) : "",
    card.height ? `${card.height} cm` : "",
    card.education ? nameOf("education", card.education) : "",
  ].filter(Boolean).join(" · ");
}

/** Run a user's action; a refusal is shown as it was told. */
export async function attempt<T>(action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    showToast(error instanceof ApiError ? error.message : t("网络不通，请下拉重试"));
    return undefined;
  }
}
