import { mount } from "svelte";
import "../base.css";
import Account from "./Account.svelte";
import "./account.css";
import { session } from "./session.svelte.ts";

const target = document.getElementById("app");
if (!target) throw new Error("there is no place for the page");
void session.start();
mount(Account, { target });
