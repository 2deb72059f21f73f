/** How the page looks: kept in this browser. Nothing of it is secret. */

export type Theme = "system" | "dark" | "light";

const THEME = "ringfence.theme";
const SHORTCUTS = "ringfence.shortcuts";

class Settings {
  theme = $state<Theme>((localStorage.getItem(THEME) as Theme | null) ?? "system");
  shortcuts = $state(localStorage.getItem(SHORTCUTS) !== "off");
  private readonly prefersLight = matchMedia("(prefers-color-scheme: light)");
  private systemIsLight = $state(this.prefersLight.matches);

  constructor() {
    this.prefersLight.addEventListener("change", (event) => (this.systemIsLight = event.matches));
  }

  get isLight(): boolean {
    return this.theme === "light" || (this.theme === "system" && this.systemIsLight);
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    localStorage.setItem(THEME, theme);
  }

  setShortcuts(on: boolean): void {
    this.shortcuts = on;
    localStorage.setItem(SHORTCUTS, on ? "on" : "off");
  }
}

export const settings = new Settings();
