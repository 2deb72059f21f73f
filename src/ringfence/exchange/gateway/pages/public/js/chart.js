/** A line over time as SVG. Positions are doubles; what is written beside them is the exact text. */

const NS = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [720, 220, 8, 8, 22, 26];

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * Draw points {at, value, label}: `at` is a time of the wire, `value` text of a number, `label` how it is written.
 * The highest and the lowest are written out, so the chart can be read without its shape.
 */
export function lineChart(caption, points) {
  const figure = document.createElement("figure");
  const text = document.createElement("figcaption");
  text.textContent = caption;
  const known = points.filter((point) => point.value !== null);
  if (known.length < 2) {
    text.textContent += known.length ? ". A line begins with the second point." : ". Nothing happened yet.";
    figure.append(text);
    return figure;
  }
  const times = known.map((point) => Date.parse(point.at));
  const values = known.map((point) => Number(point.value));
  const high = values.indexOf(Math.max(...values));
  const low = values.indexOf(Math.min(...values));
  const [first, last] = [times[0], times.at(-1)];
  const x = (at) => LEFT + ((at - first) / (last - first || 1)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + (1 - (value - values[low]) / (values[high] - values[low] || 1)) * (HEIGHT - TOP - BOTTOM);
  const path = known.map((_, index) => `${index ? "L" : "M"}${x(times[index]).toFixed(1)},${y(values[index]).toFixed(1)}`);
  const said = `${caption}: from ${known[0].label} to ${known.at(-1).label}; lowest ${known[low].label}, highest ${known[high].label}.`;
  figure.append(svg(
    "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said },
    svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
    svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: TOP, y2: TOP }),
    svg("path", { class: "curve", d: path.join("") }),
    ...(known.length < 60 ? known.map((_, index) => svg("circle", {
      class: "dot", cx: x(times[index]).toFixed(1), cy: y(values[index]).toFixed(1), r: 2.5,
    })) : []),
    svg("text", { x: LEFT, y: TOP - 7 }, known[high].label),
    svg("text", { x: LEFT, y: HEIGHT - BOTTOM - 6 }, known[low].label),
    svg("text", { x: LEFT, y: HEIGHT - 8 }, known[0].at.slice(0, 16).replace("T", " ")),
    svg("text", { class: "end", x: WIDTH - RIGHT, y: HEIGHT - 8 }, known.at(-1).at.slice(0, 16).replace("T", " ")),
  ), text);
  return figure;
}
