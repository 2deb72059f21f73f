/** BLAKE2b as RFC 7693 has it, without a key: browsers have no such digest, and movements are named by one. */

import { utf8, type Bytes } from "./bytes.ts";

const WORD = (1n << 64n) - 1n;
const BLOCK_BYTES = 128;
const START = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
] as const;
const ORDERS = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4], [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13], [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11], [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5], [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
] as const;
const PLACES = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
] as const;

/** Return a digest; `person` says what it is of, in at most 16 bytes. */
export function blake2b(data: Uint8Array, digestBytes: number, person = ""): Bytes {
  const state: bigint[] = [...START];
  const personal = new Uint8Array(16);
  personal.set(utf8(person));
  state[0]! ^= 0x01010000n ^ BigInt(digestBytes);
  state[6]! ^= wordAt(personal, 0);
  state[7]! ^= wordAt(personal, 8);
  const blocks = Math.max(1, Math.ceil(data.length / BLOCK_BYTES));
  for (let number = 0; number < blocks; number++) {
    const block = new Uint8Array(BLOCK_BYTES);
    block.set(data.subarray(number * BLOCK_BYTES, (number + 1) * BLOCK_BYTES));
    const isLast = number === blocks - 1;
    compress(state, block, BigInt(isLast ? data.length : (number + 1) * BLOCK_BYTES), isLast);
  }
  const whole = new Uint8Array(64);
  const view = new DataView(whole.buffer);
  state.forEach((word, place) => view.setBigUint64(place * 8, word, true));
  return whole.slice(0, digestBytes);
}

function wordAt(bytes: Uint8Array, at: number): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at, true);
}

function compress(state: bigint[], block: Uint8Array, taken: bigint, isLast: boolean): void {
  const words = Array.from({ length: 16 }, (_, place) => wordAt(block, place * 8));
  const v: bigint[] = [...state, ...START];
  v[12]! ^= taken & WORD;
  if (isLast) v[14]! ^= WORD;
  for (let round = 0; round < 12; round++) {
    const order = ORDERS[round % 10]!;
    PLACES.forEach(([a, b, c, d], step) => {
      mix(v, a, b, c, d, words[order[step * 2]!]!, words[order[step * 2 + 1]!]!);
    });
  }
  for (let place = 0; place < 8; place++) state[place]! ^= v[place]! ^ v[place + 8]!;
}

function mix(v: bigint[], a: number, b: number, c: number, d: number, x: bigint, y: bigint): void {
  v[a] = (v[a]! + v[b]! + x) & WORD;
  v[d] = turned(v[d]! ^ v[a]!, 32n);
  v[c] = (v[c]! + v[d]!) & WORD;
  v[b] = turned(v[b]! ^ v[c]!, 24n);
  v[a] = (v[a]! + v[b]! + y) & WORD;
  v[d] = turned(v[d]! ^ v[a]!, 16n);
  v[c] = (v[c]! + v[d]!) & WORD;
  v[b] = turned(v[b]! ^ v[c]!, 63n);
}

function turned(word: bigint, by: bigint): bigint {
  return ((word >> by) | (word << (64n - by))) & WORD;
}
