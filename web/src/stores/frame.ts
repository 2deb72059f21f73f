/** What changed is shown with the next frame, once, however often it changed since the last. */

const waiting = new Set<() => void>();

export function withNextFrame(show: () => void): void {
  if (waiting.size === 0) requestAnimationFrame(run);
  waiting.add(show);
}

function run(): void {
  const shown = [...waiting];
  waiting.clear();
  for (const show of shown) show();
}
