import { mount } from "svelte";
import App from "./App.svelte";
import "./base.css";
import "./style.css";
import { exchange } from "./stores/exchange.svelte.ts";

const target = document.getElementById("app");
if (!target) throw new Error("there is no place for the page");
exchange.start();
mount(App, { target });
