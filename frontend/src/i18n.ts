/** Texts: Chinese is the key, English the translation. */
import { ref } from "vue";
import { english } from "./english";

export type Lang = "zh" | "en";

export const lang = ref<Lang>(localStorage.getItem("lang") === "en" ? "en" : "zh");

export function setLang(chosen: Lang): void {
  lang.value = chosen;
  localStorage.setItem("lang", chosen);
  document.documentElement.lang = chosen;
}

/** The text in the chosen language; `{}` are filled in order. */
export function t(chinese: string, ...values: (string | number)[]): string {
  let text = lang.value === "zh" ? chinese : (english[chinese] ?? chinese);
  for (const value of values) text = text.replace("{}", String(value));
  return text;
}

/** A time of the API (UTC, `YYYY-MM-DD HH:MM:SS`) by this phone's clock, in the same form. */
export function localTime(utc: string): string {
  const at = new Date(`${utc.replace(" ", "T")}Z`);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19).replace("T", " ");
}
