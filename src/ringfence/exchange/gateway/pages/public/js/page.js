/** What every page is made of: elements, tables, parts that load and say so. Text is only ever set as text. */

/** Make an element. `attributes` are set as such, children are nodes or texts. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const mark = (kind, text) => el("span", { class: `mark ${kind}` }, text);
export const note = (text) => el("p", { class: "faint" }, text);

/**
 * Make a table that scrolls by itself where it is too wide.
 * `columns` are [title, class] pairs; a row's first cell heads it.
 */
export function table(caption, columns, rows) {
  const head = el("tr", {}, ...columns.map(([title, kind]) => el("th", { scope: "col", class: kind }, title)));
  const body = rows.map((row) => el("tr", {}, ...row.map((cell, index) => {
    const kind = columns[index][1];
    return index === 0 ? el("th", { scope: "row", class: kind }, cell ?? "–") : el("td", { class: kind }, cell ?? "–");
  })));
  return el(
    "div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, ...body)),
  );
}

/** Return a time of the wire as people read it, in UTC. */
export function time(stamp) {
  if (!stamp) return "–";
  return el("time", { datetime: stamp }, `${stamp.slice(0, 10)} ${stamp.slice(11, 19)}`);
}

/** Return how long ago something was, roughly, by this machine's clock. */
export function age(stamp) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(stamp)) / 1000));
  return span(seconds);
}

export function span(seconds) {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h`;
}

/** A hash or digest, shortened for the eye, whole for who copies it. */
export const short = (hex) => el("code", { title: hex }, hex ? `${hex.slice(0, 16)}…` : "–");

/**
 * Fill the part with an id, now and every so many seconds while somebody looks.
 * What cannot be had is said in its place; what was there before stays until then.
 */
export function part(id, fill, { every = 0 } = {}) {
  const place = document.getElementById(id);
  const turn = async () => {
    try {
      const nodes = [await fill()].flat().filter((one) => one !== null && one !== undefined);
      place.replaceChildren(...nodes);
    } catch (error) {
      place.replaceChildren(el("p", { class: "trouble", role: "status" }, `This cannot be shown now: ${error.message}`));
    }
    place.dataset.is = "filled";
  };
  turn();
  if (every) setInterval(() => { if (!document.hidden) turn(); }, every * 1000);
}
