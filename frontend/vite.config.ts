import { fileURLToPath } from "node:url";
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  base: "/demo/",
  plugins: [vue()],
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
