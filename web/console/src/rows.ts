/** What the console answers, as far as pages show it. Numbers are text. */

import type { Fields } from "./sign/statements.ts";
import type { Scheme } from "./sign/key.ts";

export interface Who {
  seat: string;
  of: "custody" | "halts";
  name: string;
  role: string;
  scheme: Scheme;
  publicKey: string;
  session: string;
  credential: string;
}

export interface AssetRow {
  currency: string;
  coin: string;
  scale: string;
}

export interface ApprovalRow {
  person: string;
  group: string;
  at: string;
}

export interface RequestRow {
  number: string;
  account: string;
  asset: AssetRow;
  amount: string;
  feeMax: string;
  address: string;
  asked: string;
  expires: string | null;
  state: string;
  waitsFor: string;
  digest: string;
  chain: string;
  kind: string;
  txid: string;
  left: string;
  returned: string;
  approvals: ApprovalRow[];
}

export interface OneRequest extends RequestRow {
  said: { waitingFor: string; because: string; confirmations: string; error: string; agrees: boolean };
  intent?: Fields;
  tier?: {
    from: string;
    approvers: string;
    groups: string;
    fresh: string[];
    freshGroups: string[];
    missing: string;
    missingGroups: string;
    approvalMinutes: string;
  };
  timeLock?: { hours: string; until: string; isOver: boolean };
  coolDownHours?: string;
  policy?: { version: string; digest: string };
  flow?: FlowRow;
}

export interface Verdict {
  rule: string;
  intent: string;
  allows: boolean;
  reason: string;
}

export interface FlowRow {
  batch: string;
  chain: string;
  asset: AssetRow;
  state: string;
  intents: Fields[];
  sealedAt: string | null;
  decidedBy: string | null;
  witnesses: string[];
  contributed: string[];
  nominated: string[];
  late: string[];
  draw: { block: string; again: string[]; agrees: boolean } | null;
  givenUp: string;
  signers: string[];
  replaced: string[];
  transaction: {
    txid: string;
    size: string;
    spends: string[];
    fee: string | null;
    feeFrom: string;
    pays: { address: string; amount: string; kind: string; for: string; isExpected: boolean }[];
  } | null;
  doubts: string[];
  verdicts: Record<string, Verdict[]>;
}

export interface Overview {
  ledger: string;
  at: string;
  isCaughtUp: boolean;
  trouble: Record<string, string>;
  charter: string;
  backed: { asset: AssetRow; amount: string }[];
  deposits: { outpoint: string; amount: string }[];
  halted: HaltRow[];
  status: { error?: string; trouble?: Record<string, string>; chains?: Record<string, { assets: string[]; at: string }> };
  log: { entries: string; head: string };
}

export interface HaltRow {
  id: string;
  timestamp: string;
  halt: string;
  scope: string;
  symbol: string | null;
  currency: string | null;
  state: string;
  reopens: string | null;
  by: string;
  text: string;
  law: string | null;
  expected: string | null;
  found: string | null;
}

export interface DraftRow {
  number: string;
  by: string;
  at: string;
  signedBy: string[];
  sent: string;
  isDone: boolean;
  outcome: string;
}

export interface ResumeDraft extends DraftRow {
  body: { text: string };
}

export interface PolicyDraft extends DraftRow {
  body: {
    document: { policy: Fields; announced_ns: string };
    loosens: string[];
    tightens: string[];
    digest: string;
  };
}

export interface OrderDraft extends DraftRow {
  body: { order: Fields };
}

export interface JudgeRow {
  judge: string;
  trouble?: string;
  timestamp?: string;
  sequence?: string;
  caughtUp?: boolean;
  lagMs?: string;
  green?: string;
  red?: string;
  findings?: { law: string; what: string; expected: string; found: string; sequence: string }[];
  laws?: { law: string; when: string; findings: string; verdict: string }[];
}

export interface Halts {
  now: HaltRow[];
  history: HaltRow[];
  judges: JudgeRow[];
  people: { name: string; role: string; scheme: string; public_key: string }[];
  drafts: ResumeDraft[];
}

export interface SignerRow {
  name: string;
  role: string;
  organisation: string;
  site: string;
  trouble: string;
  thawSignedBy: string[];
  standing: {
    policies: string[][];
    chains: string[][];
    is_frozen: boolean;
    frozen: string;
    height: string;
    ledger_sequence: string;
    log_entries: string;
    log_head: string;
    token: string;
    protects: string;
  } | null;
}

export interface PolicyRow {
  chain: string;
  asset: AssetRow;
  inForce: Fields;
  digest: string;
  pending: Fields | null;
  pendingDigest: string | null;
  pendingMinutes: string | null;
}

export interface Ceremonies {
  policies: PolicyRow[];
  policyDrafts: PolicyDraft[];
  orderDrafts: OrderDraft[];
  charter: {
    digest: string;
    members: {
      name: string;
      role: string;
      organisation: string;
      site: string;
      model: string;
      serial: string;
      hasTpm: boolean;
    }[];
    people: { name: string; group: string }[];
  };
  keys: Record<string, { key: string; scheme: string; epoch: string; failures: string; banned: string[] }[] | null>;
  transcripts: {
    key: string;
    what: string;
    scheme: string;
    epoch: string;
    threshold: string;
    at: string;
    publicKey: string;
    orderedBy: string[];
    ready: string[];
    adopted: string[];
  }[];
  running: { key: string; what: string; epoch: string; steps: Record<string, string> }[];
  annexes: { chain: string; key: string; left: string[] }[];
}

export interface Audit {
  entries: { number: string; at: string; kind: string; body: Record<string, unknown>; digest: string }[];
  count: string;
  head: string;
}
