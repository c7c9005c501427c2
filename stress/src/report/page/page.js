"use strict";
// The words and tables of the page, and its beginning.

const { findings, asked } = results;

function verdict() {
  const overlaps = findings.inherent.reduce((sum, { count }) => sum + count, 0);
  const signs = { valid: "\u2714", violation: "\u2716", inconclusive: "?" };
  const said = {
    valid: overlaps > 0
      ? `Valid: no violation in ${plural(findings.acquired, "acquisition")}; ${plural(overlaps, "overlap")} no lock could avoid`
      : `Valid: never two owners in ${plural(findings.acquired, "acquisition")}`,
    violation: `Violation: ${count(findings.violations)} found in ${plural(findings.acquired, "acquisition")}`,
    inconclusive: "Inconclusive: no violation was found, but that means nothing here",
  }[results.verdict];
  const older = asked.older_peers > 0 ? ` and ${plural(asked.older_peers, "older peer")}` : "";
  const ran = [
    `${asked.lock} on ${asked.topology}`,
    `${plural(asked.workers, "worker")}${older}`,
    plural(asked.locks, "lock"),
    `${time(results.elapsed_ms * 1000)} of ${asked.duration}`,
    `${count(results.acquisitions_per_second)} acquisitions/s`,
    `seed ${results.seed}`,
    `began ${results.begun.replace("T", " ")}`,
  ];
  const copy = h("button", { type: "button" }, "Copy");
  const command = h("code", { tabindex: "0", "aria-label": "Replay command" }, results.replay);
  copy.addEventListener("click", () => copied(copy, command));
  place("verdict").append(
    h("div", { class: `verdict ${results.verdict}` },
      h("h1", null, h("span", { "aria-hidden": "true" }, `${signs[results.verdict]}\u2002`), said),
      h("p", null, ran.join(" · ")),
      results.doubts.length > 0 ? h("ul", null, results.doubts.map((doubt) => h("li", null, doubt))) : null,
      h("div", { class: "replay" }, h("span", { class: "small" }, "Run it again:"), command, copy)));
}

/** Without a secure context there is no clipboard: then the command is selected, to be copied by hand. */
function copied(button, command) {
  const select = () => {
    getSelection().selectAllChildren(command);
    button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
  };
  if (!navigator.clipboard) return select();
  navigator.clipboard.writeText(results.replay).then(() => (button.textContent = "Copied"), select);
}

/** The story of a violation, in words and record by record. */
function tell(index) {
  const violation = findings.stories[index];
  if (!violation) return;
  const section = place("story");
  section.hidden = false;
  place("scene").classList.add("told");
  const [first] = content.stories[index].split("\n");
  const told = findings.stories.length;
  const turn = (word, to, name) => {
    const button = h("button", { type: "button", "aria-label": name, ...(findings.stories[to] ? {} : { disabled: "" }) }, word);
    button.addEventListener("click", () => tell(to));
    return button;
  };
  const pages = told < 2 ? null : h("div", { class: "tools" }, turn("\u2190", index - 1, "The violation before"), h("span", { class: "small" }, `${index + 1} of ${told}`), turn("\u2192", index + 1, "The next violation"));
  section.replaceChildren(
    h("div", { class: "bar-of-tools" }, h("h2", null, told < 2 ? "The violation" : index === 0 ? "The first violation" : "A violation"), pages),
    h("p", { class: "lead" }, h("b", null, headline(violation, first)), " ", explained(violation)),
    violation.story.length > 0 ? records(violation) : h("p", { class: "soft small" }, "No records belong to it: it was found when the run was over."));
  if (lanes.told[index].length > 0) {
    lanes.chosen = null;
    showViolation(index);
  }
}

function headline(violation, first) {
  const holds = violation.holds.map((hold) => hold.began.record.worker);
  return violation.kind === "overlap" && holds.length === 2 ? `Two owners of lock ${violation.lock}: ${worker(holds[0])} and ${worker(holds[1])}.` : `${first}.`;
}

function explained(violation) {
  if (violation.kind !== "overlap" || violation.holds.length !== 2) return "";
  const [a, b] = violation.holds.map((hold) => hold.began.record);
  const later = violation.story.filter(({ number, record }) => record.incarnation === a.incarnation && number > violation.holds[1].began.number);
  const own = later.find(({ record }) => !["kill", "exit", "stop", "continue"].includes(record.event));
  const kill = later.find(({ record }) => record.event === "kill");
  const proof = own ? ` Worker ${a.worker} was still inside: it wrote record ${count(own.number)}, its ${own.record.event}, only after that.` : kill ? ` Worker ${a.worker} was still inside: it was killed only after that, at record ${count(kill.number)}.` : "";
  return `Worker ${a.worker} had it since ${moment(a.at_us - content.began_us)}, and ${time(Math.max(0, b.at_us - a.at_us))} later worker ${b.worker} got it too.${proof}`;
}

function records(violation) {
  const began = violation.story[0].record.at_us;
  const inHold = ({ number, record }) => violation.holds.some(({ began }) => began.record.incarnation === record.incarnation && began.number <= number);
  const rows = violation.story.map((told) => {
    const { number, record } = told;
    const about = record.worker === 65535 ? "–" : isOlder(record.worker) ? `${record.worker} (older)` : String(record.worker);
    const token = record.token > 0 ? ` token ${record.token}` : "";
    return h("tr", { class: inHold(told) ? "concerned" : null },
      h("td", { class: "number" }, count(number)), h("td", { class: "number" }, `+${time(Math.max(0, record.at_us - began))}`),
      h("td", { class: "number" }, about), h("td", { class: "number" }, String(record.incarnation)),
      h("td", null, record.event + (record.fault ? ` (${record.fault})` : "") + token));
  });
  const head = ["record", "after", "worker", "incarnation"].map((word) => h("th", { class: "number" }, word));
  return h("div", { class: "scroll" }, h("table", null, h("thead", null, h("tr", null, head, h("th", null, "event"))), h("tbody", null, rows)));
}

function table(heads, rows) {
  const cell = (tag, value) => (value instanceof Node ? h(tag, null, value) : h(tag, { class: typeof value === "number" ? "number" : null }, typeof value === "number" ? count(value) : value));
  const numeric = (column) => rows.length > 0 && typeof rows[0][column] === "number";
  const head = h("tr", null, heads.map((word, column) => h("th", { class: numeric(column) ? "number" : null }, word)));
  return h("div", { class: "scroll" }, h("table", null, h("thead", null, head), h("tbody", null, rows.map((row) => h("tr", null, row.map((value) => cell("td", value)))))));
}

const flag = (kind, word) => h("span", { class: `flag ${kind}` }, word);

function marks() {
  const state = (mark) => {
    if (mark.count === 0 && mark.needed === 0) return h("span", { class: "soft" }, "never happened, not due");
    if (mark.count >= mark.needed) return flag("good", "\u2714 happened");
    return mark.count === 0 ? flag("odd", "\u26a0 never happened") : flag("odd", "\u26a0 too rarely");
  };
  const rows = results.marks.map((mark) => [mark.name, mark.what, mark.per_second === null ? "–" : `${+mark.per_second.toFixed(3)}/s`, mark.count, mark.needed, state(mark)]);
  place("marks").append(h("p", { class: "soft small" }, "What should have happened. A run says nothing about what never did."), table(["what", "", "asked for", "count", "needed", ""], rows));
  const reasons = Object.entries(results.takeovers_by_reason);
  if (reasons.length === 0) return;
  place("marks").append(h("h2", { style: "margin-top:12px" }, "Takeovers by reason"),
    h("p", { class: "soft small" }, "As the lock has counted them itself since its state directory was made; no verdict rests on it."), table(["reason", "count"], reasons));
}

/** Whatever else the oracle counts, by the names it gives: it knows more with every version. */
function found() {
  const section = place("found");
  const told = new Set(["stories", "oddities", "violations", "inherent", "explained"]);
  const words = (name) => name.replaceAll("_", " ");
  const plain = Object.entries(findings).filter(([name, value]) => typeof value === "number" && !told.has(name));
  const oddities = Object.entries(findings.oddities || {}).filter(([, value]) => typeof value === "number" && value > 0);
  const rows = [["violations", findings.violations, findings.violations > 0 ? flag("bad", "\u2716 a rule was broken") : flag("good", "\u2714 none")]];
  for (const [name, value] of plain) rows.push([words(name), value, value > (findings.explained[name] ?? value) ? flag("odd", "\u26a0 doubtful") : ""]);
  for (const [name, value] of oddities) rows.push([`odd: ${words(name)}`, value, flag("odd", "\u26a0 could not be judged")]);
  section.append(table(["what", "count", ""], rows));
  for (const [name, value] of Object.entries(findings)) {
    if (told.has(name) || value === null || typeof value !== "object") continue;
    const entries = Array.isArray(value) ? value.map((entry) => Object.values(entry)) : Object.entries(value);
    if (entries.length === 0) continue;
    const heads = Array.isArray(value) ? Object.keys(value[0]).map(words) : ["what", "count"];
    const shown = entries.map((entry) => entry.map((each) => (each !== null && typeof each === "object" ? JSON.stringify(each) : each === null ? "–" : typeof each === "number" ? each : String(each))));
    section.append(h("h2", { class: "further" }, words(name)), table(heads, shown));
  }
}

const EXPLAINED = {
  errors: "errors, by a full disk, a full inode table or missing descriptors",
  timeouts: "acquires that gave up while somebody stood still, because of a fault, or as older peers, who only poll",
  lost: "lost claims, which somebody had taken away",
  updates: "lost updates, of holds with an overlap that no lock could avoid",
};
const CAUSES = {
  "older-peer-stopped-in-release": "the older peer stood between close and unlink for longer than the grace",
  "claim-deleted": "the claim was deleted or replaced with older peers about",
  "claim-and-state-deleted": "the claim and the state directory were deleted within one hold",
};
const SIDES = { ours: "the lock under test", older: "an older peer" };

/** What went wrong and is no fault of the lock: failures by a fault, overlaps that no lock could avoid. */
function excused() {
  const section = place("found");
  const failures = Object.entries(findings.explained).filter(([, value]) => value > 0);
  if (failures.length > 0) {
    section.append(h("h2", { class: "further" }, "Explained by a fault"), table(["what", "count"], failures.map(([name, value]) => [EXPLAINED[name] ?? name, value])));
  }
  if (findings.inherent.length === 0) return;
  section.append(h("h2", { class: "further" }, "Overlaps no lock could avoid"));
  findings.inherent.forEach(({ pair, cause, count: number, story }) => {
    const [first, second] = pair.split("-").map((side) => SIDES[side] ?? side);
    section.append(h("details", null,
      h("summary", null, h("b", null, `${count(number)} × `), `${first}, then ${second}: ${CAUSES[cause] ?? cause}`, h("span", { class: "soft" }, ` (${pair}, ${cause})`)),
      h("p", { class: "soft small" }, "The first of them: ", explained(story)), records(story)));
  });
}

function shares() {
  const counts = results.acquisitions_per_worker;
  const most = Math.max(...counts, 1);
  const rows = counts.map((number, place) => h("div", { class: isOlder(place) ? "share older" : "share" },
    h("span", null, isOlder(place) ? `${place} older` : `worker ${place}`), h("i", { style: `width:${(number / most) * 100}%` }), h("b", null, count(number))));
  place("workers").append(h("p", { class: "soft small" }, `Jain's index ${results.jain.toFixed(3)}: 1 when all have as many, ${(1 / counts.length).toFixed(3)} when one has them all.`), h("div", { class: "rows" }, rows));
}

/** The most that one life has taken and grown by, over all lives that were long enough. */
function drift() {
  const { lives, descriptors, threads, rss_kib: memory } = results.drift;
  if (lives === 0) return;
  place("drift").hidden = false;
  const row = (what, { largest, grown, over_s: seconds }) =>
    [what, largest, grown > 0 ? `+${count(grown)} in ${plural(seconds, "second")}` : "none"];
  const rows = [row("descriptors", descriptors), row("threads", threads), row("memory (KiB)", memory)];
  place("drift").append(h("p", { class: "soft small" }, `Workers that lived for more than two seconds: ${count(lives)}.`),
    table(["of a worker", "largest", "most growth in one life"], rows));
}

function log() {
  if (content.log.trim() === "") return;
  place("log").hidden = false;
  place("log").append(h("pre", { tabindex: "0" }, content.log));
}

function footer() {
  const { stress, kernel, architecture, cpus } = results.versions;
  place("footer").append(
    h("p", null, `In ${results.dir}: results.json, junit.xml, latency.hgrm, report.html, history, workers.log, sessions/. All of it takes ${(results.bytes / 1e6).toFixed(1)} MB.`),
    h("p", null, `stress ${stress}, Linux ${kernel}, ${architecture}, ${plural(cpus, "processor")}. This page needs no network.`));
}

function scene() {
  const [first, last] = stretch.records;
  const why = stretch.frozen ? "around the first violation" : first > 0 ? "the last ones" : "all of them";
  place("swim-title").append(h("span", { class: "soft small", style: "font-weight:400" }, ` records ${count(first)} to ${count(last)}, ${why}`));
  if (findings.stories.length > 0) {
    place("story").hidden = false;
    place("scene").classList.add("told");
  }
  lanes.start();
  tools();
  legend();
  pointers();
  keyboard();
  if (findings.stories.length > 0) tell(Math.max(0, lanes.told.findIndex((told) => told.length > 0)));
}

try {
  for (const part of [verdict, scene, course, latencies, marks, found, excused, shares, drift, log, footer]) part();
  document.body.dataset.state ||= "drawn";
} catch (error) {
  fail(error);
}
