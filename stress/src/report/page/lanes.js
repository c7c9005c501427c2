"use strict";
// The swim lanes: one lane per worker, over time or over the records' numbers, by which the oracle judges.

const GUTTER = 78;

const stretch = content.pictures.stretch;
const bars = stretch.holds.map((hold, index) => {
  const [worker, incarnation, lock, token, asked, from, to, first, last, end] = hold;
  return { index, worker, incarnation, lock, token, asked, from, to, first, last, end };
});
bars.sort((a, b) => a.first - b.first).forEach((bar, index) => (bar.index = index));
const barOf = new Map(bars.map((bar) => [bar.first, bar]));

/** The bars of the holds that a violation is about. */
const concerned = (story) => (story ? story.holds : []).map((hold) => barOf.get(hold.began.number)).filter(Boolean);

const lanes = {
  view: null,
  byRecord: false,
  chosen: null,
  story: 0,

  start() {
    this.told = results.findings.stories.map(concerned);
    const first = this.told.find((bars) => bars.length > 0) || [];
    const order = Array.from({ length: crew }, (_, worker) => worker);
    const involved = new Set(first.map((bar) => bar.worker).filter((worker) => worker < crew));
    this.order = [...involved, ...order.filter((worker) => !involved.has(worker))];
    this.row = new Map(this.order.map((worker, row) => [worker, row]));
    this.high = crew <= 8 ? 31 : crew <= 16 ? 25 : 17;
    const nobody = (item) => item[0] === null;
    this.top = stretch.spans.some(nobody) || stretch.marks.some(nobody) ? 34 : 2;
    this.view = this.whole();
    this.toViolation(this.told.findIndex((bars) => bars.length > 0));
    drawn(place("lanes"), () => this.draw());
  },

  /** Where an item begins and ends on the axis: [time, record] pairs. */
  x(us, record) {
    return GUTTER + (((this.byRecord ? record : us) - this.view[0]) / (this.view[1] - this.view[0])) * (this.width - GUTTER - 6);
  },

  whole() {
    const [from, to] = this.byRecord ? stretch.records : stretch.times;
    return [from, Math.max(to, from + 10)];
  },

  toViolation(story) {
    const told = this.told[story];
    if (!told || told.length === 0) return;
    this.story = story;
    const [from, to] = this.byRecord ? ["first", "last"] : ["from", "to"];
    const begin = Math.min(...told.map((bar) => bar[from]));
    const end = Math.max(...told.map((bar) => bar[to]));
    const both = told.length < 2 ? [begin, end] : [Math.max(...told.map((bar) => bar[from])), Math.min(...told.map((bar) => bar[to]))];
    // Wide enough for both holds, but never so wide that what they share could not be seen.
    const most = Math.max(both[1] - both[0], this.byRecord ? 4 : 40) * 9;
    const left = Math.max(begin, both[0] - most * 0.5);
    const right = Math.min(end, both[1] + most * 0.4);
    const pad = Math.max((right - left) * 0.12, this.byRecord ? 3 : 20);
    this.view = [left - pad, right + pad];
  },

  zoom(factor, at) {
    const [from, to] = this.view;
    const [first, last] = this.whole();
    const middle = at === undefined ? (from + to) / 2 : at;
    const least = this.byRecord ? 4 : 20;
    const width = Math.min(Math.max((to - from) * factor, least), (last - first) * 1.2);
    const left = middle - ((middle - from) / (to - from)) * width;
    this.view = [left, left + width];
    this.pan(0);
  },

  pan(by) {
    const [first, last] = this.whole();
    const width = this.view[1] - this.view[0];
    const slack = width * 0.5;
    const left = Math.min(Math.max(this.view[0] + by * width, first - slack), last + slack - width);
    this.view = [left, left + width];
    this.later();
  },

  later() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.draw();
    });
  },

  y(worker) {
    return this.top + this.row.get(worker) * this.high;
  },

  draw() {
    const drawing = place("drawing");
    this.width = place("lanes").clientWidth;
    const height = this.top + crew * this.high + 2;
    drawing.setAttribute("height", height);
    drawing.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    const clip = s("clipPath", { id: "inside" }, s("rect", { x: GUTTER, y: 0, width: this.width - GUTTER, height }));
    const ticks = this.axis(height);
    const parts = [this.stripes(), ticks, this.bands(height), this.stops(), this.overlaps(height), this.waits(), this.holds(), this.names(), this.signs()];
    const inner = s("g", { "clip-path": "url(#inside)" }, parts.slice(1).flat());
    drawing.replaceChildren(s("defs", null, clip, hatch()), ...parts[0], inner);
    place("lanes").dataset.holds = String(bars.length);
  },

  axis(height) {
    const axis = place("axis");
    axis.setAttribute("height", 22);
    axis.setAttribute("viewBox", `0 0 ${this.width} 22`);
    const [from, to] = this.view;
    const { step, ticks } = (this.byRecord ? steps : timeSteps)(from, to, (this.width - GUTTER) / 95);
    const fine = !this.byRecord && step < 1000;
    const base = ticks[0];
    const word = (tick) => (this.byRecord ? `#${count(Math.round(tick))}` : fine ? (tick === base ? "+0" : `+${count(Math.round(tick - base))} µs`) : tickWord(tick, step));
    const lines = [];
    const words = [s("text", { x: 6, y: 15, class: "faint" }, this.byRecord ? "record" : fine ? `${(base / 1e6).toFixed(4)} s` : "time")];
    for (const tick of ticks) {
      const x = this.x(tick, tick);
      if (x < GUTTER - 1 || (this.byRecord && step < 1 && tick % 1 !== 0)) continue;
      lines.push(s("line", { class: "grid", x1: x, x2: x, y1: 0, y2: height }));
      if (x < this.width - 40) words.push(s("text", { x: x + 3, y: 15 }, word(tick)));
    }
    axis.replaceChildren(s("line", { class: "grid", x1: 0, x2: this.width, y1: 21.5, y2: 21.5 }), ...words);
    return lines;
  },

  stripes() {
    const told = new Set((this.told[this.story] || []).map((bar) => bar.worker));
    return this.order.flatMap((worker, row) => {
      const y = this.top + row * this.high;
      const name = isOlder(worker) ? `${worker} older` : `worker ${worker}`;
      const style = told.has(worker) ? "font-weight:700;fill:var(--bad)" : null;
      return [
        s("rect", { class: row % 2 ? "lane stripe-none" : "lane stripe", x: 0, y, width: this.width, height: this.high, fill: row % 2 ? "none" : null }),
        s("text", { x: 6, y: y + this.high / 2 + 4, style }, name),
      ];
    });
  },

  visible(from, to) {
    return to >= GUTTER - 2 && from <= this.width + 2;
  },

  /** Faults of the directory or the machine: over all lanes. */
  bands(height) {
    const drawn = [];
    const free = [0, 0];
    const label = (from, name) => {
      const x = Math.max(from, GUTTER);
      const line = free.findIndex((reached) => reached <= x);
      if (line < 0) return;
      free[line] = x + name.length * 7.2 + 8;
      drawn.push(s("text", { class: "band-name", x: x + 3, y: 13 + line * 15 }, name));
    };
    const nobody = [];
    stretch.spans.forEach((span, index) => span[0] === null && nobody.push([span[3], span[5], span[4], span[6], span[2], `span:${index}`]));
    stretch.marks.forEach((mark, index) => mark[0] === null && nobody.push([mark[4], mark[5], mark[4], mark[5], mark[3], `mark:${index}`]));
    for (const [us, record, endUs, endRecord, name, item] of nobody.sort((a, b) => a[0] - b[0])) {
      const [from, to] = [this.x(us, record), this.x(endUs, endRecord)];
      if (!this.visible(from, to)) continue;
      drawn.push(s("rect", { class: "band", "data-item": item, x: from - 1, y: 0, width: Math.max(to - from, 2), height }));
      drawn.push(s("line", { class: "band-line", x1: from, x2: from, y1: 0, y2: height }));
      label(from, name);
    }
    return drawn;
  },

  stops() {
    return stretch.spans.flatMap((span, index) => {
      const [worker, , fault, us, endUs, record, endRecord] = span;
      if (worker === null || !this.row.has(worker)) return [];
      const [from, to] = [this.x(us, record), this.x(endUs, endRecord)];
      if (!this.visible(from, to)) return [];
      const y = this.y(worker);
      return [s("rect", { fill: "url(#hatch)", class: "stop", "data-item": `span:${index}`, x: from, y: y + 1, width: Math.max(to - from, 1.5), height: this.high - 2 })];
    });
  },

  /** The names of stops, over what lies in them, where there is room. */
  names() {
    if (this.high <= 20) return [];
    return stretch.spans.flatMap(([worker, , fault, us, endUs, record, endRecord]) => {
      if (worker === null || !this.row.has(worker)) return [];
      const [from, to] = [Math.max(this.x(us, record), GUTTER), Math.min(this.x(endUs, endRecord), this.width)];
      if (to - from < fault.length * 7 + 8) return [];
      return [s("text", { class: "fault-name", x: from + 4, y: this.y(worker) + this.high - 4 }, fault)];
    });
  },

  waits() {
    if (this.byRecord) return [];
    const drawn = [];
    const reached = new Map();
    const line = (worker, asked, until, kind, item) => {
      const [from, to] = [this.x(asked, 0), this.x(until, 0)];
      if (!this.visible(from, to) || to - from < 0.8 || (kind === "wait" && to < (reached.get(worker) || 0) + 1)) return;
      reached.set(worker, to);
      const y = this.y(worker) + this.high / 2;
      drawn.push(s("line", { class: kind, "data-item": item, x1: Math.max(from, GUTTER - 4), x2: to, y1: y, y2: y }));
    };
    for (const bar of bars) line(bar.worker, bar.asked, bar.from, "wait", `hold:${bar.index}`);
    stretch.gave_up.forEach(([worker, , , asked, at], index) => line(worker, asked, at, "gave-up", `gave:${index}`));
    return drawn;
  },

  /** The holds; where they are narrower than a pixel, one stands for its neighbours. */
  holds() {
    const told = new Set((this.told[this.story] || []).map((bar) => bar.index));
    const reached = new Map();
    return bars.flatMap((bar) => {
      const [from, to] = [this.x(bar.from, bar.first), this.x(bar.to, bar.last)];
      const chosen = this.chosen === bar.index;
      if (!this.visible(from, to) || !this.row.has(bar.worker)) return [];
      const special = told.has(bar.index) || chosen;
      if (!special && to < (reached.get(bar.worker) || 0) + 0.7) return [];
      reached.set(bar.worker, to);
      const left = Math.max(from, GUTTER - 4);
      const width = Math.max(Math.min(to, this.width + 4) - left, special ? 3 : 0.8);
      const inset = this.high > 20 ? 5 : 2.5;
      const kind = `hold${width < 3 ? " dense" : ""}${told.has(bar.index) ? " overlap" : ""}${chosen ? " chosen" : ""}`;
      const y = this.y(bar.worker);
      const style = `fill:${lockColour(bar.lock)}`;
      const shape = s("rect", { class: kind, style, rx: width > 6 ? 2 : 0, "data-item": `hold:${bar.index}`, x: left, y: y + inset, width, height: this.high - 2 * inset });
      const word = bar.token > 0 ? `token ${bar.token}` : `lock ${bar.lock}`;
      if (this.high <= 20 || width < word.length * 6.2 + 8) return [shape];
      return [shape, s("text", { class: "within", x: Math.max(left, GUTTER) + 4, y: y + this.high / 2 + 4 }, word)];
    });
  },

  /** What two owners had in common. */
  overlaps(height) {
    const told = this.told[this.story] || [];
    if (told.length < 2) return [];
    const from = Math.max(...told.map((bar) => this.x(bar.from, bar.first)));
    const to = Math.max(Math.min(...told.map((bar) => this.x(bar.to, bar.last))), from + 1);
    if (!this.visible(from, to)) return [];
    const edge = (x) => s("line", { class: "both-edge", x1: x, x2: x, y1: 0, y2: height });
    return [s("rect", { class: "both", x: from, y: 0, width: to - from, height }), edge(from), edge(to)];
  },

  signs() {
    const drawn = [];
    stretch.marks.forEach(([worker, , event, , us, record], index) => {
      const x = this.x(us, record);
      if (worker === null || !this.row.has(worker) || !this.visible(x, x)) return;
      const y = this.y(worker) + this.high / 2;
      const item = `mark:${index}`;
      if (event === "kill") {
        const d = `M${x - 4},${y - 4}L${x + 4},${y + 4}M${x - 4},${y + 4}L${x + 4},${y - 4}`;
        drawn.push(s("path", { class: "kill-halo", d }), s("path", { class: "kill", d, "data-item": item }));
      } else if (event === "start" || event === "exit") {
        drawn.push(s("rect", { class: "sign", "data-item": item, x: x - 1, y: y + this.high / 2 - 6, width: 2, height: 5 }));
      } else {
        drawn.push(s("path", { class: "sign odd", "data-item": item, d: `M${x},${y - 6}L${x + 5},${y + 3}L${x - 5},${y + 3}Z` }));
      }
    });
    return drawn;
  },
};

/** The pattern of a worker that stands still. */
function hatch() {
  const line = s("path", { d: "M0,6L6,0M-1,1L1,-1M5,7L7,5", stroke: "var(--shade)", "stroke-width": 1.1, opacity: 0.75 });
  return s("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse" }, line);
}
