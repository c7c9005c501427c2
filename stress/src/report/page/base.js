"use strict";
// Elements, words and the tooltip. Whatever comes from the run is put in as text, never as markup.

const place = (id) => document.getElementById(id);

function fail(error) {
  const box = place("failure");
  box.hidden = false;
  box.textContent = "This page could not be drawn: " + (error && error.stack ? error.stack : error);
  document.body.dataset.state = "failed";
}
window.addEventListener("error", (event) => fail(event.error || event.message));
window.addEventListener("unhandledrejection", (event) => fail(event.reason));

const content = JSON.parse(place("content").textContent);
const results = content.results;

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element. */
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svgNamespace = place("drawing").namespaceURI;
/** An SVG element. */
const s = (tag, attributes, ...children) => fill(document.createElementNS(svgNamespace, tag), attributes, children);

/** A number with its thousands apart. */
const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const plural = (number, one, more) => `${count(number)} ${number === 1 ? one : more || one + "s"}`;

/** A time in microseconds, in three significant digits or so. */
function time(us) {
  const shown = (value, unit) => `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return shown(us / 1000, "ms");
  if (us < 120e6) return shown(us / 1e6, "s");
  if (us < 7200e6) return shown(us / 60e6, "min");
  return shown(us / 3600e6, "h");
}

/** A moment of the run: seconds since it began, to the microsecond. */
const moment = (us) => `${(us / 1e6).toFixed(6)} s`;

/** A worker by its place in the crew. */
const isOlder = (worker) => worker >= results.asked.workers;
const worker = (place) => (isOlder(place) ? `worker ${place} (older peer)` : `worker ${place}`);
const crew = results.asked.workers + results.asked.older_peers;
const lockColour = (lock) => `var(--lock-${lock % 8})`;

/** Something at a position of the screen, for a pointer or for the focus. */
const tip = {
  show(head, rows, x, y) {
    const box = place("tip");
    const list = h("dl");
    for (const [name, value] of rows) list.append(h("dt", null, name), h("dd", null, value));
    box.replaceChildren(h("b", null, head), list);
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    box.style.left = Math.max(4, Math.min(x + 14, innerWidth - width - 6)) + "px";
    box.style.top = Math.max(4, y + 18 + height > innerHeight ? y - height - 10 : y + 18) + "px";
  },
  speak(head, rows) {
    place("spoken").textContent = head + ", " + rows.map((row) => row.join(" ")).join(", ");
  },
  hide() {
    place("tip").hidden = true;
  },
};

/** Calls `draw` now, and whenever the element has another width. */
function drawn(element, draw) {
  let width = 0;
  const again = () => {
    const wide = Math.floor(element.clientWidth);
    if (wide > 0 && wide !== width) {
      width = wide;
      draw(wide);
    }
  };
  again();
  new ResizeObserver(again).observe(element);
}
