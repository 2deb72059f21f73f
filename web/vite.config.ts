import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// The gateway serves what is built here at /trade/; it lets the page load files of its own origin and nothing else.
export default defineConfig({
  base: "/trade/",
  plugins: [svelte()],
  build: {
    rolldownOptions: { input: ["index.html", "account.html"], checks: { pluginTimings: false } },
    outDir: "../src/ringfence/exchange/gateway/pages/trade",
    emptyOutDir: true,
    target: "es2023",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    license: { fileName: "licences.txt" },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8040", "/realtime": { target: "ws://127.0.0.1:8040", ws: true } } },
});
