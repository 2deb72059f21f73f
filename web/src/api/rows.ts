/** Rows of the API's tables. Numbers are the text that was sent; a column without a value is null. */

export type Value = string | boolean | null;
export type Row = Readonly<Record<string, Value>>;
export type Side = "Buy" | "Sell";
export type Action = "partial" | "insert" | "update" | "delete";

/** What a row holds depends on its table; the columns that this page reads are named here. */
type Table<Texts extends string, Flags extends string = never> = {
  readonly [name in Texts]: string | null;
} & { readonly [name in Flags]: boolean | null };

export type Instrument = Table<
  | "state" | "typ" | "expiry" | "positionCurrency" | "quoteCurrency" | "referenceSymbol"
  | "maxOrderQty" | "maxPrice" | "lotSize" | "multiplier" | "settlCurrency" | "underlyingToPositionMultiplier"
  | "quoteToSettleMultiplier" | "initMargin" | "maintMargin" | "riskLimit" | "makerFee" | "takerFee"
  | "fundingTimestamp" | "fundingRate" | "indicativeFundingRate" | "volume24h" | "openInterest" | "highPrice"
  | "lowPrice" | "lastPrice" | "lastTickDirection" | "lastChangePcnt" | "bidPrice" | "askPrice" | "markPrice"
  | "indicativeSettlePrice",
  "isInverse" | "isQuanto"
> & { readonly symbol: string; readonly tickSize: string; readonly underlying: string };

export type BookRow = { readonly id: string; readonly side: Side; readonly size: string; readonly price: string };

export type Trade = {
  readonly timestamp: string; readonly side: Side; readonly size: string; readonly price: string;
  readonly trdMatchID: string; readonly symbol: string;
};

export type Bin = Table<"open" | "high" | "low" | "close"> & {
  readonly timestamp: string; readonly volume: string; readonly symbol: string;
};

export type Order = Table<
  | "clOrdID" | "orderQty" | "price" | "displayQty" | "stopPx" | "pegOffsetValue" | "pegPriceType" | "execInst"
  | "contingencyType" | "triggered" | "text" | "avgPx",
  "workingIndicator"
> & {
  readonly orderID: string; readonly symbol: string; readonly side: Side; readonly ordType: string;
  readonly ordStatus: string; readonly timeInForce: string; readonly leavesQty: string; readonly cumQty: string;
  readonly timestamp: string; readonly error?: string;
};

export type Execution = Omit<Order, "side"> &
  Table<"side" | "lastQty" | "lastPx" | "lastLiquidityInd" | "execComm" | "settlCurrency"> & {
    readonly execID: string; readonly execType: string;
  };

export type Position = Table<
  | "avgEntryPrice" | "markPrice" | "liquidationPrice" | "bankruptPrice" | "breakEvenPrice" | "deleveragePercentile"
  | "unrealisedRoePcnt"
> & {
  readonly symbol: string; readonly currency: string; readonly currentQty: string; readonly leverage: string;
  readonly crossMargin: boolean; readonly isOpen: boolean; readonly initMarginReq: string;
  readonly maintMarginReq: string; readonly riskLimit: string; readonly posCost: string; readonly posCross: string;
  readonly posMargin: string; readonly posMaint: string; readonly openOrderBuyCost: string;
  readonly openOrderSellCost: string; readonly unrealisedPnl: string; readonly realisedPnl: string;
  readonly maintMargin: string; readonly markValue: string;
};

export type Margin = {
  readonly currency: string; readonly walletBalance: string; readonly unrealisedPnl: string;
  readonly marginBalance: string; readonly initMargin: string; readonly maintMargin: string;
  readonly availableMargin: string; readonly withdrawableMargin: string;
};

export type Asset = {
  readonly asset: string; readonly currency: string; readonly majorCurrency: string; readonly scale: string;
  readonly enabled: boolean; readonly minDepositAmount: string; readonly minWithdrawalAmount: string;
  readonly networks: readonly {
    readonly asset: string; readonly withdrawalFee: string; readonly minFee: string; readonly maxFee: string;
  }[];
};

export type Halt = Table<"symbol" | "currency" | "reopens" | "text" | "by"> & {
  readonly id: string; readonly scope: string; readonly state: string; readonly timestamp: string;
};

export type HaltStatus = { readonly state: string; readonly halted: readonly Halt[] };
export type Commission = Readonly<Record<string, { readonly makerFee: string; readonly takerFee: string }>>;
