/** The time, to the second, for countdowns. */

class Clock {
  seconds = $state(Math.floor(Date.now() / 1000));

  constructor() {
    setInterval(() => (this.seconds = Math.floor(Date.now() / 1000)), 1_000);
  }

  /** Return the milliseconds until a timestamp of the API; negative when it is past. */
  until(timestamp: string): number {
    void this.seconds;
    return Date.parse(timestamp) - Date.now();
  }
}

export const clock = new Clock();
