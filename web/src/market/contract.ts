/** What a contract is worth, in whole smallest units: the formulas of docs/reference/contracts.md. */

import type { Instrument } from "../api/rows.ts";
import { ceilDiv, decimal, parseDecimal, roundDiv, textOf, unitsAt } from "../numbers/decimal.ts";

const PPM = 1_000_000n;

/** The step of a price: whole ticks are exact integers. */
export interface Tick {
  readonly units: bigint;
  readonly scale: number;
}

export function tickOf(instrument: Instrument): Tick {
  const { units, scale } = decimal(instrument.tickSize);
  return { units, scale };
}

/** Return a price in ticks; null if it is no number or lies between two. */
export function ticksOf(text: string, tick: Tick): number | null {
  const value = parseDecimal(text);
  const units = value && unitsAt(value, tick.scale);
  if (units == null || units % tick.units !== 0n) return null;
  return Number(units / tick.units);
}

export const priceText = (ticks: number, tick: Tick): string => textOf(BigInt(ticks) * tick.units, tick.scale);

/** Return a rate of the API in parts per million, rounded. */
export function ppm(text: string | null): bigint {
  if (text === null) return 0n;
  const { units, scale } = decimal(text);
  return roundDiv(units * PPM, 10n ** BigInt(scale));
}

/** Return a position's signed quantity or cost as the engine counts it: on the wire an inverse cost is turned round. */
export const costOf = (contract: Contract, wire: string): bigint => (contract.isInverse ? -BigInt(wire) : BigInt(wire));

/** What the formulas need of an instrument. A lot is worth top/(bottom x ticks) or top x ticks/bottom. */
export class Contract {
  readonly tick: Tick;
  readonly lotSize: bigint;
  readonly isInverse: boolean;
  readonly isSpot: boolean;
  readonly initialPpm: bigint;
  readonly maintenancePpm: bigint;
  readonly takerPpm: bigint;
  readonly makerPpm: bigint;
  private readonly top: bigint;
  private readonly bottom: bigint;

  constructor(
    readonly instrument: Instrument,
    fees: { makerFee: string; takerFee: string } | null,
  ) {
    this.tick = tickOf(instrument);
    this.lotSize = BigInt(instrument.lotSize ?? "1");
    this.isInverse = instrument.isInverse === true;
    this.isSpot = instrument.typ === "IFXXXP";
    this.initialPpm = ppm(instrument.initMargin);
    this.maintenancePpm = ppm(instrument.maintMargin);
    this.takerPpm = ppm(fees?.takerFee ?? instrument.takerFee);
    this.makerPpm = ppm(fees?.makerFee ?? instrument.makerFee);
    const multiplier = BigInt(instrument.multiplier ?? "1");
    const power = 10n ** BigInt(this.tick.scale);
    if (this.isInverse) {
      this.top = (multiplier < 0n ? -multiplier : multiplier) * this.lotSize * power;
      this.bottom = this.tick.units;
    } else {
      const { quoteToSettleMultiplier: settle, underlyingToPositionMultiplier: position } = instrument;
      const perUnit = settle && position ? BigInt(settle) : multiplier;
      this.top = perUnit * this.lotSize * this.tick.units;
      this.bottom = power * (settle && position ? BigInt(position) : 1n);
    }
  }

  /** Return the settlement units of one lot, rounded half up: rounding is per lot. */
  lotValue(ticks: number): bigint {
    const price = BigInt(ticks);
    return this.isInverse ? roundDiv(this.top, this.bottom * price) : roundDiv(this.top * price, this.bottom);
  }

  /** Return the exposure of so many contracts at a price. */
  value(ticks: number, qty: bigint): bigint {
    return (qty / this.lotSize) * this.lotValue(ticks);
  }

  /** Return the exposure at a mark, which lies between ticks. */
  markValue(mark: string, qty: bigint): bigint {
    const { units, scale } = decimal(mark);
    const power = 10n ** BigInt(scale);
    const tickPower = 10n ** BigInt(this.tick.scale);
    const perLot = this.isInverse
      ? roundDiv(this.top * this.tick.units * power, this.bottom * units * tickPower)
      : roundDiv(this.top * units * tickPower, this.bottom * this.tick.units * power);
    return (qty / this.lotSize) * perLot;
  }

  /** Return what a signed cost gains when it is worth so much. */
  profit(cost: bigint, value: bigint): bigint {
    return this.isInverse ? cost - value : value - cost;
  }

  /** Return the price at which a position has this exposure, to a tick against its holder; null if there is none. */
  ticksOfValue(qty: bigint, value: bigint): number | null {
    const lots = (qty < 0n ? -qty : qty) / this.lotSize;
    if (lots === 0n || value <= 0n) return null;
    const [top, bottom] = this.isInverse
      ? [this.top * lots, this.bottom * value]
      : [value * this.bottom, this.top * lots];
    const ticks = Number(qty > 0n ? ceilDiv(top, bottom) : top / bottom);
    const most = ticksOf(this.instrument.maxPrice ?? "", this.tick);
    return ticks >= 1 && (most === null || ticks <= most) ? ticks : null;
  }
}

export const share = (value: bigint, rate: bigint): bigint => ceilDiv(value * rate, PPM);
export const feeOf = (value: bigint, rate: bigint): bigint => roundDiv(value * rate, PPM);
