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
