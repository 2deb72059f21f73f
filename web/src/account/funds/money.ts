/** What can be moved, and where to. */

import type { Asset } from "../../api/rows.ts";
import { assets } from "../../stores/assets.svelte.ts";

/** Return the assets as options of a choice. */
export const choices = (): (readonly [string, string])[] =>
  [...assets.all.values()].filter((one) => one.enabled).map((one) => [one.currency, one.majorCurrency] as const);

export const networkOf = (asset: Asset | undefined): string => asset?.networks[0]?.asset ?? "";
