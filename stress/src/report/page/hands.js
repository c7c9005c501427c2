"use strict";
// What the pointer, the keyboard and the buttons do to the swim lanes.

/** What an item is, in words. */
function described(item) {
  const [kind, index] = item.split(":");
  if (kind === "hold") {
    const bar = bars[index];
    const ends = { released: "by a release", killed: "by a kill", gone: "with its process", open: "after this stretch" };
    const rows = [
      ["from", `${moment(bar.from)}, record ${count(bar.first)}`],
      ["until", `${moment(bar.to)}, record ${count(bar.last)}`],
      ["lasted", time(bar.to - bar.from)],
      ["waited", time(bar.from - bar.asked)],
      ["ended", ends[bar.end]],
      ["incarnation", String(bar.incarnation)],
    ];
    if (bar.token > 0) rows.splice(2, 0, ["token", String(bar.token)]);
    return [`${worker(bar.worker)} held lock ${bar.lock}`, rows];
  }
  const who = (place) => (place === null ? "the directory or the machine" : worker(place));
  if (kind === "span") {
    const [place, lock, fault, from, to, first, last] = stretch.spans[index];
    const rows = [["from", `${moment(from)}, record ${count(first)}`], ["until", `${moment(to)}, record ${count(last)}`], ["lasted", time(to - from)]];
    if (place === null) rows.push(["lock", String(lock)]);
    return [`${fault}: ${who(place)}`, rows];
  }
  if (kind === "gave") {
    const [place, lock, what, asked, at, record] = stretch.gave_up[index];
    return [`${worker(place)}: ${what} on lock ${lock}`, [["at", `${moment(at)}, record ${count(record)}`], ["after", time(at - asked)]]];
  }
  const [place, lock, event, fault, at, record, detail] = stretch.marks[index];
  const rows = [["at", `${moment(at)}, record ${count(record)}`]];
  if (place === null) rows.push(["lock", String(lock)]);
  if (event === "exit") rows.push([detail < 0 ? "by signal" : "exit code", String(Math.abs(detail))]);
  return [`${fault && fault !== event ? `${event} (${fault})` : event}: ${who(place)}`, rows];
}

function pointers() {
  const pane = place("lanes");
  const drawing = place("drawing");
  let dragged = null;
  const at = (event) => {
    const x = event.clientX - drawing.getBoundingClientRect().left;
    return lanes.view[0] + ((x - GUTTER) / (lanes.width - GUTTER - 6)) * (lanes.view[1] - lanes.view[0]);
  };
  pane.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    dragged = event.clientX;
    pane.setPointerCapture(event.pointerId);
  });
  pane.addEventListener("pointermove", (event) => {
    if (dragged !== null) {
      tip.hide();
      lanes.pan((dragged - event.clientX) / (lanes.width - GUTTER));
      dragged = event.clientX;
      return;
    }
    const item = event.target.getAttribute && event.target.getAttribute("data-item");
    if (item) tip.show(...described(item), event.clientX, event.clientY);
    else tip.hide();
  });
  for (const end of ["pointerup", "pointercancel"]) pane.addEventListener(end, () => (dragged = null));
  pane.addEventListener("pointerleave", () => tip.hide());
  pane.addEventListener("dblclick", (event) => lanes.zoom(0.4, at(event)));
  // Without the focus, the wheel scrolls the page, as everywhere else.
  pane.addEventListener("wheel", (event) => {
    if (document.activeElement !== pane && !event.ctrlKey) return;
    event.preventDefault();
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) lanes.pan(sideways / 900);
    else lanes.zoom(1.0015 ** event.deltaY, at(event));
  }, { passive: false });
}

/** Goes to the next hold, or to the one before, and says what it is. */
function choose(by) {
  const [from, to] = lanes.byRecord ? ["first", "last"] : ["from", "to"];
  const inView = bars.filter((bar) => bar[to] >= lanes.view[0] && bar[from] <= lanes.view[1]);
  if (inView.length === 0) return;
  const now = inView.findIndex((bar) => bar.index === lanes.chosen);
  const next = inView[now < 0 ? (by > 0 ? 0 : inView.length - 1) : Math.min(Math.max(now + by, 0), inView.length - 1)];
  lanes.chosen = next.index;
  lanes.draw();
  const box = place("drawing").querySelector(".hold.chosen").getBoundingClientRect();
  const words = described(`hold:${next.index}`);
  tip.show(...words, box.left, box.bottom - 12);
  tip.speak(...words);
}

function keyboard() {
  const keys = {
    ArrowLeft: () => lanes.pan(-0.15),
    ArrowRight: () => lanes.pan(0.15),
    "+": () => lanes.zoom(0.6),
    "=": () => lanes.zoom(0.6),
    "-": () => lanes.zoom(1 / 0.6),
    0: showAll,
    v: () => showViolation(lanes.story),
    n: () => choose(1),
    p: () => choose(-1),
    Escape: () => {
      lanes.chosen = null;
      tip.hide();
      lanes.later();
    },
  };
  place("lanes").addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    tip.hide();
    act();
  });
  place("lanes").addEventListener("blur", () => tip.hide());
}

function showAll() {
  lanes.view = lanes.whole();
  lanes.later();
}

function showViolation(story) {
  lanes.toViolation(story);
  lanes.later();
}

function tools() {
  const button = (word, title, act, more) => {
    const made = h("button", { type: "button", title, ...more }, word);
    made.addEventListener("click", act);
    return made;
  };
  const axis = button("by record", "Space the records evenly: their order is what the oracle judges by", () => {
    const [from, to] = lanes.whole();
    const part = lanes.view.map((edge) => (edge - from) / (to - from));
    lanes.byRecord = !lanes.byRecord;
    axis.setAttribute("aria-pressed", String(lanes.byRecord));
    const [first, last] = lanes.whole();
    lanes.view = part.map((share) => first + share * (last - first));
    lanes.toViolation(lanes.story);
    lanes.later();
  }, { "aria-pressed": "false" });
  const made = [
    button("\u2190", "Pan left (arrow left)", () => lanes.pan(-0.3)),
    button("\u2192", "Pan right (arrow right)", () => lanes.pan(0.3)),
    button("\u2212", "Zoom out (-)", () => lanes.zoom(1 / 0.6)),
    button("+", "Zoom in (+)", () => lanes.zoom(0.6)),
    button("All", "The whole stretch (0)", showAll),
  ];
  const first = lanes.told.findIndex((told) => told.length > 0);
  if (first >= 0) made.push(button("First violation", "Zoom to the first violation (v)", () => tell(first)));
  place("tools").append(...made, axis);
}

function legend() {
  const picture = (...parts) => s("svg", { viewBox: "0 0 22 14", "aria-hidden": "true" }, ...parts);
  const entry = (name, ...parts) => h("span", null, picture(...parts), name);
  const bar = (style, more) => s("rect", { x: 2, y: 2, width: 18, height: 10, rx: 2, style, ...more });
  const locks = Math.min(results.asked.locks, 8);
  const entries = [];
  for (let lock = 0; lock < locks; lock += 1) {
    const more = lock + 8 < results.asked.locks ? ", …" : "";
    entries.push(entry(`lock ${lock}${more}`, bar(`fill:${lockColour(lock)}`)));
  }
  entries.push(entry("waits", s("line", { class: "wait", x1: 1, x2: 21, y1: 7, y2: 7 })));
  entries.push(entry("killed", s("path", { class: "kill", d: "M7,3L15,11M7,11L15,3" })));
  if (stretch.spans.some((span) => span[0] !== null)) entries.push(entry("stands still", bar("fill:url(#hatch)", { class: "stop" })));
  if (stretch.gave_up.length > 0) entries.push(entry("gave up", s("line", { class: "gave-up", x1: 1, x2: 21, y1: 7, y2: 7 })));
  if (lanes.top > 2) entries.push(entry("fault of the directory", s("rect", { class: "band", x: 5, y: 0, width: 12, height: 14 }), s("line", { class: "band-line", x1: 5, x2: 5, y1: 0, y2: 14 })));
  if (results.findings.violations > 0) entries.push(entry("two owners", bar("fill:none", { class: "hold twice" })));
  entries.push(h("span", null, "click, then the wheel zooms; drag pans; n, p: from hold to hold"));
  place("legend").replaceChildren(...entries);
}
