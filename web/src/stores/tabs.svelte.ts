/** Which table of the account is shown. */

export const TABS = ["positions", "orders", "fills", "balances", "events"] as const;
export type Tab = (typeof TABS)[number];

class Tabs {
  now = $state<Tab>("positions");
}

export const tabs = new Tabs();
