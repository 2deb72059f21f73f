/** Instruments for tests, with the columns that the formulas read. */

import type { Instrument } from "../api/rows.ts";

const NONE = {
  state: "Open", expiry: null, positionCurrency: null, referenceSymbol: null, maxOrderQty: null, riskLimit: null,
  makerFee: "-0.0001", takerFee: "0.00075", fundingTimestamp: null, fundingRate: null, indicativeFundingRate: null,
  volume24h: null, openInterest: null, highPrice: null, lowPrice: null, lastPrice: null, lastTickDirection: null,
  lastChangePcnt: null, bidPrice: null, askPrice: null, markPrice: null, indicativeSettlePrice: null,
  underlyingToPositionMultiplier: null, quoteToSettleMultiplier: null, isInverse: false, isQuanto: false, underlying: "XBT",
};

export const XBTUSD: Instrument = {
  ...NONE, symbol: "XBTUSD", typ: "FFWCSX", quoteCurrency: "USD", settlCurrency: "XBt", isInverse: true, lotSize: "100",
  tickSize: "0.1", multiplier: "-100000000", initMargin: "0.01", maintMargin: "0.005", maxPrice: "1000000.0",
};
export const ETHUSD: Instrument = {
  ...NONE, symbol: "ETHUSD", typ: "FFWCSX", quoteCurrency: "USD", settlCurrency: "XBt", isQuanto: true, lotSize: "1",
  tickSize: "0.05", multiplier: "100", initMargin: "0.02", maintMargin: "0.01", maxPrice: "100000.0",
};
export const XBTUSDT: Instrument = {
  ...NONE, symbol: "XBTUSDT", typ: "FFWCSX", quoteCurrency: "USDT", settlCurrency: "USDt", lotSize: "100", tickSize: "0.1",
  multiplier: "1", underlyingToPositionMultiplier: "1000000", quoteToSettleMultiplier: "1000000", initMargin: "0.01",
  maintMargin: "0.005", maxPrice: "1000000.0",
};
export const SPOT: Instrument = {
  ...NONE, symbol: "XBT_USDT", typ: "IFXXXP", quoteCurrency: "USDT", settlCurrency: null, lotSize: "1000", tickSize: "0.1",
  multiplier: "1", underlyingToPositionMultiplier: "100000000", quoteToSettleMultiplier: "1000000", initMargin: "1.0",
  maintMargin: "1.0", makerFee: "0.001", takerFee: "0.001", maxPrice: "1000000.0",
};
