/** Whether somebody may be signed in. The cookie is the server's and the browser's alone, so pages leave each other a
 * note: who has none does not ask, and tabs hear of each other's signing in and out. Nothing of it is secret. */

const NOTE = "ringfence.session";

export const mayBeSignedIn = (): boolean => localStorage.getItem(NOTE) !== null;

export const noteSignedIn = (account: string): void => localStorage.setItem(NOTE, account);

export const noteSignedOut = (): void => localStorage.removeItem(NOTE);

/** Hear when another tab has signed somebody in or out. */
export function onOtherTab(heard: () => void): void {
  addEventListener("storage", (event) => {
    if (event.key === NOTE || event.key === null) heard();
  });
}
