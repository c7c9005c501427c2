"use strict";
// The whole run over time, and the latencies.

const LEFT = 84;
const RIGHT = 64;

function course() {
  const { width_us: width, ...counts } = content.pictures.intervals;
  const intervals = counts.acquired.length;
  const whole = Math.max(intervals * width, 1);
  const rows = [
    ["takeovers", "takeovers"],
    ["kills", "kills"],
    ["stops", "stops"],
    ["strikes", "other faults"],
    ["failures", "failures"],
    ["violations", "violations"],
  ];
  const chart = s("svg", { class: "chart", role: "img", "aria-label": "Acquisitions per second, faults and violations over the run" });
  const caption = h("p", { class: "soft small" }, `Acquisitions per second, and what else happened, in intervals of ${time(width)}. The frame is the stretch that the swim lanes show.`);
  place("course").append(caption, chart);
  drawn(chart, (wide) => {
    const x = (us) => LEFT + (us / whole) * (wide - LEFT - RIGHT);
    const [high, each] = [90, 17];
    const height = high + 8 + rows.length * each + 22;
    chart.setAttribute("height", height);
    chart.setAttribute("viewBox", `0 0 ${wide} ${height}`);
    const rates = counts.acquired.map((number) => (number * 1e6) / width);
    const most = Math.max(...rates, 1);
    const y = (rate) => 6 + (1 - rate / most) * (high - 6);
    const parts = [];
    for (const tick of steps(0, most, 3).ticks) {
      parts.push(s("line", { class: "grid", x1: LEFT, x2: wide - RIGHT, y1: y(tick), y2: y(tick) }));
      parts.push(s("text", { class: "faint", x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, `${count(tick)}/s`));
    }
    const cell = (index) => [x(index * width), Math.max(x((index + 1) * width) - x(index * width) - 0.6, 0.8)];
    rates.forEach((rate, index) => {
      const [left, wide] = cell(index);
      parts.push(s("rect", { class: "rate", x: left, y: y(rate), width: wide, height: Math.max(high - y(rate), 0) }));
    });
    rows.forEach(([name, word], row) => parts.push(...strip(counts[name], name, word, high + 8 + row * each, each, cell, wide)));
    parts.push(...courseAxis(x, whole, wide, height), ...shownStretch(x, high, whole));
    chart.replaceChildren(...parts);
    hoverCourse(chart, rows, counts, rates, width, wide, whole);
  });
}

/** One row of ticks: the more, the higher. */
function strip(numbers, name, word, top, high, cell, wide) {
  const most = Math.max(...numbers, 1);
  const total = numbers.reduce((sum, number) => sum + number, 0);
  const parts = [
    s("text", { class: "faint", x: LEFT - 6, y: top + high - 5, "text-anchor": "end" }, word),
    s("text", { x: wide - RIGHT + 6, y: top + high - 5 }, count(total)),
    s("line", { class: "grid", x1: LEFT, x2: wide - RIGHT, y1: top + high - 1, y2: top + high - 1 }),
  ];
  numbers.forEach((number, index) => {
    if (number === 0) return;
    const [left, width] = cell(index);
    const tall = 4 + (number / most) * (high - 6);
    parts.push(s("rect", { class: `tick-${name}`, x: left, y: top + high - 1 - tall, width: Math.max(width, name === "violations" ? 3 : 1.5), height: tall }));
  });
  return parts;
}

function courseAxis(x, whole, wide, height) {
  const { step, ticks } = timeSteps(0, whole, (wide - LEFT - RIGHT) / 90);
  return ticks.flatMap((tick) => [
    s("line", { class: "grid", x1: x(tick), x2: x(tick), y1: height - 22, y2: height - 17 }),
    s("text", { class: "faint", x: x(tick), y: height - 5, "text-anchor": tick === 0 ? "start" : "middle" }, tickWord(tick, step)),
  ]);
}

function shownStretch(x, high, whole) {
  const [from, to] = stretch.times.map((us) => x(Math.min(us, whole)));
  return bars.length === 0 ? [] : [s("rect", { class: "shown", x: from - 1, y: 3, width: Math.max(to - from, 2) + 2, height: high + 3, rx: 2 })];
}

function hoverCourse(chart, rows, counts, rates, width, wide, whole) {
  chart.onpointermove = (event) => {
    const at = ((event.clientX - chart.getBoundingClientRect().left - LEFT) / (wide - LEFT - RIGHT)) * whole;
    const index = Math.floor(at / width);
    if (index < 0 || index >= rates.length) return tip.hide();
    const words = rows.filter(([name]) => counts[name][index] > 0).map(([name, word]) => [word, count(counts[name][index])]);
    const { step } = timeSteps(0, width, 1);
    tip.show(`from ${tickWord(index * width, step)}`, [["acquisitions", count(counts.acquired[index])], ["per second", count(Math.round(rates[index]))], ...words], event.clientX, event.clientY);
  };
  chart.onpointerleave = () => tip.hide();
}

const PERCENTILES = [["p50", "p50_us"], ["p90", "p90_us"], ["p99", "p99_us"], ["p99.9", "p999_us"], ["max", "max_us"]];

function latencies() {
  const measured = content.latencies.filter((latency) => latency.spread.count > 0);
  const from = Math.max(1, Math.min(...measured.flatMap((latency) => latency.bins.map((bin) => bin[0])), 1000));
  const to = Math.max(...measured.flatMap((latency) => latency.bins.map((bin) => bin[1])), from * 100);
  const grid = h("div", { class: "spreads" });
  for (const latency of content.latencies) {
    const box = h("div", null, h("h3", null, `${latency.name} `, h("span", { class: "soft" }, plural(latency.spread.count, "time"))));
    box.append(h("p", { class: "soft small definition" }, latency.definition));
    grid.append(box);
    if (latency.spread.count === 0) box.append(h("p", null, h("span", { class: "flag odd" }, "never measured")));
    else spread(box, latency, from, to);
  }
  const head = h("tr", null, h("th", null, "latency"), ["count", ...PERCENTILES.map((each) => each[0])].map((word) => h("th", { class: "number" }, word)));
  const rows = content.latencies.map(({ name, spread }) => h("tr", null, h("td", null, name), h("td", { class: "number" }, count(spread.count)), PERCENTILES.map(([, key]) => h("td", { class: "number" }, spread.count ? time(spread[key]) : "–"))));
  place("latency").append(h("p", { class: "soft small" }, "Both axes are logarithmic, and the axis of times is the same for all four."), grid, h("div", { class: "scroll" }, h("table", null, h("thead", null, head), h("tbody", null, rows))));
}

function spread(box, latency, from, to) {
  const chart = s("svg", { class: "chart", role: "img", "aria-label": `Histogram of ${latency.name}` });
  box.append(chart);
  drawn(chart, (wide) => {
    const [top, high] = [16, 92];
    chart.setAttribute("height", top + high + 18);
    chart.setAttribute("viewBox", `0 0 ${wide} ${top + high + 18}`);
    const scale = logScale(from, to, wide - 12);
    const x = (us) => 6 + scale(us);
    const most = Math.log(1 + Math.max(...latency.bins.map((bin) => bin[2])));
    const parts = [s("line", { class: "grid", x1: 0, x2: wide, y1: top + high, y2: top + high })];
    const powers = decades(from, to);
    const every = Math.ceil((powers.length * 52) / wide);
    powers.forEach((power, index) => {
      parts.push(s("line", { class: "grid", x1: x(power), x2: x(power), y1: top, y2: top + high + 3 }));
      if (index % every === 0 && x(power) < wide - 24) parts.push(s("text", { class: "faint", x: x(power), y: top + high + 15, "text-anchor": x(power) < 20 ? "start" : "middle" }, decade(power)));
    });
    for (const [low, end, number] of latency.bins) {
      const tall = (Math.log(1 + number) / most) * (high - 2);
      const bar = s("rect", { class: "rate", x: x(low), y: top + high - tall, width: Math.max(x(end) - x(low) - 0.7, 1.2), height: tall });
      bar.addEventListener("pointermove", (event) => tip.show(latency.name, [["from", time(low)], ["to", time(end)], ["count", count(number)]], event.clientX, event.clientY));
      bar.addEventListener("pointerleave", () => tip.hide());
      parts.push(bar);
    }
    let free = 0;
    for (const [word, key] of PERCENTILES) {
      const at = x(latency.spread[key]);
      parts.push(s("line", { class: "percentile", x1: at, x2: at, y1: top - 2, y2: top + high }));
      const left = Math.min(at, wide - word.length * 7.2 - 2);
      if (left < free) continue;
      free = left + word.length * 7.2 + 4;
      parts.push(s("text", { x: left, y: 11 }, word));
    }
    chart.replaceChildren(...parts);
  });
}

const decade = (us) => (us < 1000 ? `${us} µs` : us < 1e6 ? `${us / 1000} ms` : `${us / 1e6} s`);
