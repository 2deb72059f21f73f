/** Look again and again while somebody is there: a page that was left open must not keep its session from ending. */

const ABSENT_MS = 10 * 60_000;
let seenAt = Date.now();
for (const sign of ["pointerdown", "pointermove", "keydown", "focus"]) {
  addEventListener(sign, () => (seenAt = Date.now()), { passive: true });
}

/** Look now, and every so often; return how to stop it. */
export function keepLooking(look: () => Promise<void>, everyMs: number): () => void {
  const timer = setInterval(() => {
    if (document.visibilityState === "visible" && Date.now() - seenAt < ABSENT_MS) void look();
  }, everyMs);
  void look();
  return () => clearInterval(timer);
}
