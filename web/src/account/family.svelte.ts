/** An account and its sub-accounts. */

import type { FamilyAccount } from "../api/account.ts";
import { Refused } from "../api/rest.ts";
import { session } from "./session.svelte.ts";

class Family {
  all = $state.raw<readonly FamilyAccount[]>([]);
  /** A sub-account does not see its family. */
  isSubaccount = $state(false);

  private of = "";

  async load(): Promise<void> {
    const account = session.account?.account ?? "";
    // Somebody else's are not shown while one's own are asked for.
    if (account !== this.of) this.all = [];
    this.of = account;
    try {
      this.all = await session.rest.get<FamilyAccount[]>("/user/getWalletTransferAccounts");
      this.isSubaccount = false;
    } catch (error) {
      if (!(error instanceof Refused && error.status === 403)) throw error;
      this.all = [];
      this.isSubaccount = true;
    }
  }

  get subaccounts(): readonly FamilyAccount[] {
    return this.all.filter((one) => !one.isMainAccount);
  }

  nameOf = (id: string): string => {
    const found = this.all.find((one) => one.id === id);
    return found ? `${found.accountName}${found.isMainAccount ? " (main)" : ""}` : id;
  };
}

export const family = new Family();
