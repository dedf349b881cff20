export * from "./chat.js";
export * from "./client.js";
export * from "./signing.js";
export type * from "./types.js";
export type { paths } from "./api.js";
