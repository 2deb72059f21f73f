/** What the routes under /account say. Numbers are the text that was sent. */

export type Factor = "passkey" | "totp" | "recoveryCode" | "password";

/** A question that one of these factors answers. */
export interface Question {
  readonly challenge: string;
  readonly factors: readonly Factor[];
  readonly publicKey: PublicKeyCredentialRequestOptionsJSON | null;
}

/** What answers it, under the factor's name. */
export type Answer = { readonly [factor in Factor]?: string | object };

export interface Passkey {
  readonly id: string;
  readonly name: string;
  readonly created: string;
  readonly lastUsed: string | null;
  readonly recoveryCodes?: readonly string[] | null;
}

export interface Account {
  readonly email: string;
  readonly account: string;
  readonly created: string;
  readonly hasAntiPhishingCode: boolean;
  readonly antiPhishingCode: string | null;
  readonly hasTotp: boolean;
  readonly passkeys: readonly Passkey[];
  readonly recoveryCodesLeft: string;
  readonly heldUntil: string | null;
  readonly heldBecause: string | null;
  readonly steppedUpUntil: string | null;
}

export type SignedIn = { readonly state: "signedIn" } | (Question & { readonly state: "secondFactor" });

export interface SessionRow {
  readonly id: string;
  readonly created: string;
  readonly lastSeen: string;
  readonly address: string;
  readonly agent: string;
  readonly isThis: boolean;
}

export interface Activity {
  readonly number: string;
  readonly timestamp: string;
  readonly what: string;
  readonly address: string | null;
  readonly agent: string | null;
  readonly detail: string | null;
  readonly digest: string;
}

export interface KeyRow {
  readonly id: string;
  readonly secret?: string | null;
  readonly name: string;
  readonly created: string;
  readonly permissions: readonly string[];
  readonly cidrs: readonly string[];
  readonly enabled: boolean;
}

export interface FamilyAccount {
  readonly id: string;
  readonly accountName: string;
  readonly isMainAccount: boolean;
}

export interface Transaction {
  readonly transactID: string;
  readonly currency: string;
  readonly network: string | null;
  readonly transactType: string;
  readonly amount: string;
  readonly fee: string | null;
  readonly transactStatus: string;
  readonly address: string | null;
  readonly tx: string | null;
  readonly text: string | null;
  readonly walletBalance: string | null;
  readonly timestamp: string | null;
}

export interface Withdrawal extends Question {
  readonly id: string;
  readonly amount: string;
  readonly currency: string;
  readonly network: string;
  readonly address: string;
  readonly fee: string;
  readonly expires: string;
}

export interface WaitingWithdrawal {
  readonly id: string;
  readonly amount: string;
  readonly currency: string;
  readonly address: string;
  readonly state: "asked" | "mailed";
  readonly expires: string;
}

export interface Deposit {
  readonly outpoint: string;
  readonly currency: string;
  readonly amount: string;
  readonly state: string;
  readonly confirmations: string;
  readonly needed: string;
}

export interface AddressLine {
  readonly id: string;
  readonly currency: string;
  readonly network: string;
  readonly address: string;
  readonly name: string;
  readonly created: string;
  readonly cooldownExpires: string;
}

export interface WithdrawalKey {
  readonly publicKey: string | null;
  readonly since: string | null;
  readonly nonce: string;
  readonly pendingKey: string | null;
  readonly pendingUntil: string | null;
}

export interface Wallet {
  readonly currency: string;
  readonly pendingDebit: string;
}

export interface Network {
  readonly network: string;
  readonly currency: string;
  readonly depositConfirmations: string;
  readonly enabled: boolean;
}

export interface Snapshot {
  readonly snapshot: string;
  readonly currency: string;
  readonly height: string;
  readonly created: string;
  readonly totalText: string;
  readonly url: string;
  readonly report: string;
}

/** What opens one's own leaves in the newest snapshot. */
export interface Opening {
  readonly account: string;
  readonly accountNonce: string;
  readonly balanceText: string;
  readonly totalText: string;
  readonly created: string;
  readonly snapshot: string;
  readonly login: string;
  readonly porl2: string;
  readonly verifier: string;
}
