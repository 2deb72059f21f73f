import { encode } from "uqr";

const BORDER = 4;

/** Return the outline of a QR code, one square a dark module, with the border that cameras need. */
export function qrPath(text: string): { path: string; size: number } {
  const { data, size } = encode(text, { ecc: "M", border: BORDER });
  const squares = data.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : "")));
  return { path: squares.join(""), size };
}
