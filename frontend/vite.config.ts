import { fileURLToPath } from "node:url";
import vue from "@vitejs/plugin-vue";
import { type Plugin, defineConfig } from "vite";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** Vant's icon font lies in its CSS; the fallback beside it is on another host, and browsers ask for it. */
function onlyOwnFonts(): Plugin {
  return {
    name: "only-own-fonts",
    enforce: "pre",
    transform: (code, id) =>
      id.includes("vant") && id.split("?")[0]!.endsWith(".css")
        ? { code: code.replace(/,\s*url\(["']?(https?:)?\/\/[^)]*\)\s*format\(["']woff["']\)/g, ""), map: null }
        : undefined,
  };
}

export default defineConfig({
  base: "/demo/",
  plugins: [vue(), onlyOwnFonts()],
  resolve: { alias: { "@datingtoday/client": path("../clients/typescript/src/index.ts") } },
  build: {
    outDir: path("../src/datingtoday/web/demo"),
    emptyOutDir: true,
    // Small pictures as data: URLs would need the policy to allow them for scripts' sake.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
    rollupOptions: {
      input: { index: path("index.html"), split: path("split.html") },
      output: {
        entryFileNames: "assets/[name]-[hash].js",
        manualChunks: (id) => (id.includes("node_modules") ? "vendor" : undefined),
      },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8000", "/demo/config.json": "http://127.0.0.1:8000" } },
});
