/** The realtime connection: kept up, with the same topics and the same key after every interruption.
 *
 * Of a session the server knows by the cookie that came with the connection: a connection that is older than the
 * session is made anew. */

import { decode } from "./json.ts";
import type { Action, Row } from "./rows.ts";
import { expiry, signature, type Credentials } from "./sign.ts";

export type State = "connecting" | "live" | "reconnecting";

export interface Handlers {
  /** A table said something. */
  table(table: string, action: Action, rows: readonly Row[], filter: Row): void;
  /** The connection came or went; whatever was known before it went is old until its partial comes again. */
  state(state: State): void;
  /** The exchange's clock, in milliseconds, read just now. */
  clock(milliseconds: number): void;
  /** The key was not accepted: it has been forgotten here. */
  denied(message: string): void;
  /** Something was refused, in the API's words. */
  refused(message: string): void;
}

const SILENCE_MS = 5_000;
const BACKOFF_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000];

interface Frame {
  table?: string;
  action?: Action;
  data?: readonly Row[];
  filter?: Row;
  timestamp?: string;
  info?: string;
  error?: string;
  success?: boolean;
  request?: { op?: string };
}

export class Realtime {
  private socket: WebSocket | null = null;
  private readonly topics = new Set<string>();
  private readonly privateTopics = new Set<string>();
  private credentials: Credentials | null = null;
  private failures = 0;
  private heardAt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly url: string,
    private readonly handlers: Handlers,
    private readonly now: () => number,
  ) {}

  start(): void {
    this.handlers.state("connecting");
    this.connect();
    setInterval(() => this.watch(), 1_000);
    // A network that is back need not wait for the next try.
    addEventListener("online", () => this.connectSoon(0));
  }

  subscribe(...topics: string[]): void {
    this.say("subscribe", topics.filter((topic) => !this.topics.has(topic)));
    for (const topic of topics) this.topics.add(topic);
  }

  unsubscribe(...topics: string[]): void {
    this.say("unsubscribe", topics.filter((topic) => this.topics.delete(topic)));
  }

  /** Sign in on this connection, and on every later one; `topics` are subscribed to as soon as that is done. */
  signIn(credentials: Credentials, topics: readonly string[]): void {
    this.credentials = credentials;
    for (const topic of topics) this.privateTopics.add(topic);
    if (this.isOpen) void this.authenticate();
  }

  /** Subscribe to what is the session's: on this connection alone, for a later one may be nobody's. */
  followSession(topics: readonly string[]): void {
    this.say("subscribe", topics);
  }

  /** Forget the key. A connection that was signed stays so: it is made anew. */
  signOut(): void {
    this.credentials = null;
    this.privateTopics.clear();
    this.renew();
  }

  /** Make the connection anew: who is signed in has changed. */
  renew(): void {
    const old = this.socket;
    this.socket = null;
    old?.close(1000);
    this.handlers.state("connecting");
    this.connect();
  }

  private get isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  private connect(): void {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.heardAt = performance.now();
    socket.onopen = () => {
      this.say("subscribe", [...this.topics]);
      if (this.credentials) void this.authenticate();
    };
    socket.onmessage = (event: MessageEvent<string>) => {
      this.heardAt = performance.now();
      if (event.data !== "pong") this.receive(decode(event.data) as Frame);
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.handlers.state("reconnecting");
      const step = BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length - 1)] ?? 0;
      this.failures += 1;
      this.connectSoon(step * (0.75 + Math.random() / 2));
    };
  }

  private connectSoon(milliseconds: number): void {
    if (this.socket) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (!this.socket) this.connect();
    }, milliseconds);
  }

  /** Ask after some silence, and give a connection up that does not answer. */
  private watch(): void {
    const { socket } = this;
    if (!socket) return;
    const silence = performance.now() - this.heardAt;
    if (socket.readyState === WebSocket.OPEN && silence > SILENCE_MS) socket.send("ping");
    if (silence > 2 * SILENCE_MS) {
      // A close that nobody answers takes a minute to be noticed.
      this.socket = null;
      socket.close();
      this.handlers.state("reconnecting");
      this.connectSoon(0);
    }
  }

  private say(op: string, args: readonly unknown[]): void {
    if (this.isOpen && args.length) this.socket?.send(JSON.stringify({ op, args }));
  }

  private async authenticate(): Promise<void> {
    const { socket, credentials } = this;
    if (!socket || !credentials) return;
    const expires = expiry(this.now());
    const signed = await signature(credentials.secret, `GET/realtime${expires}`);
    if (socket === this.socket) this.say("authKeyExpires", [credentials.id, expires, signed]);
  }

  private receive(frame: Frame): void {
    if (frame.table && frame.action && frame.data) {
      this.handlers.table(frame.table, frame.action, frame.data, frame.filter ?? {});
    } else if (frame.info && frame.timestamp) {
      this.failures = 0;
      this.handlers.clock(Date.parse(frame.timestamp));
      this.handlers.state("live");
    } else if (frame.success && frame.request?.op === "authKeyExpires") {
      this.say("subscribe", [...this.privateTopics]);
    } else if (frame.error) {
      if (frame.request?.op === "authKeyExpires") {
        this.credentials = null;
        this.privateTopics.clear();
        this.handlers.denied(frame.error);
      } else {
        this.handlers.refused(frame.error);
      }
    }
  }
}
