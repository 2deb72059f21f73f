import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// The custody console's own process serves what is built here, at the root of its own origin; the gateway has none of it.
export default defineConfig({
  root: new URL(".", import.meta.url).pathname,
  base: "/",
  plugins: [svelte()],
  build: {
    rolldownOptions: { checks: { pluginTimings: false } },
    outDir: "../../src/ringfence/console/page",
    emptyOutDir: true,
    target: "es2023",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    license: { fileName: "licences.txt" },
  },
});
