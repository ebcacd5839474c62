// Small plots as SVG. What a plot says stands beside it in words, so it is hidden from screen readers.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 240, HEIGHT = 48;

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function frame(kind, ...children) {
  const box = `0 0 ${WIDTH} ${HEIGHT}`;
  return element("svg", {viewBox: box, preserveAspectRatio: "none", class: kind, "aria-hidden": "true"}, ...children);
}

// A line over the last `most` values; null is a gap.
export function line(values, most) {
  const top = Math.max(1e-9, ...values.filter(value => value !== null)) * 1.1;
  let path = "", pen = "M";
  values.forEach((value, index) => {
    if (value === null) {
      pen = "M";
      return;
    }
    const x = WIDTH - (values.length - 1 - index) * (WIDTH / (most - 1));
    const y = HEIGHT - 1 - (value / top) * (HEIGHT - 2);
    path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  return frame("line", element("path", {d: path || "M0 0", "vector-effect": "non-scaling-stroke"}));
}

// A bar for each moment: 0 closed, 0.5 half open, 1 open.
export function timeline(states, most) {
  const wide = WIDTH / most;
  const bars = [];
  let from = 0;
  states.forEach((state, index) => {
    if (states[index + 1] === state) return;
    const x = WIDTH - (states.length - from) * wide;
    bars.push(element("rect", {
      x: x.toFixed(1), width: ((index + 1 - from) * wide).toFixed(1), y: 0, height: HEIGHT,
      class: state === 1 ? "open" : state ? "half" : "closed",
    }));
    from = index + 1;
  });
  return frame("timeline", ...bars);
}
