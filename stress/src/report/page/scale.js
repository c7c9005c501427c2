"use strict";
// Scales and their ticks.

/** Round steps: at most `most` of them between two numbers. */
function steps(from, to, most) {
  const rough = (to - from) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1e-9)));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const ticks = [];
  for (let tick = Math.ceil(from / step) * step; tick <= to && ticks.length < 100; tick += step) ticks.push(tick);
  return { step, ticks };
}

/** Times of a run in whole minutes or hours where the run is long. */
function timeSteps(from, to, most) {
  const rough = (to - from) / Math.max(1, most);
  const minutes = [1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 1440].map((count) => count * 60e6);
  if (rough <= 20e6) return steps(from, to, most);
  const step = minutes.find((minute) => minute >= rough) || minutes[minutes.length - 1];
  const ticks = [];
  for (let tick = Math.ceil(from / step) * step; tick <= to && ticks.length < 100; tick += step) ticks.push(tick);
  return { step, ticks };
}

/** A moment on an axis whose ticks are so far apart. */
function tickWord(us, step) {
  if (step >= 60e6) {
    const minutes = Math.round(us / 60e6);
    return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")} h`;
  }
  const decimals = Math.max(0, Math.min(6, -Math.floor(Math.log10(step / 1e6) + 1e-9)));
  return `${(us / 1e6).toFixed(decimals)} s`;
}

/** From microseconds to pixels, by their logarithm. */
function logScale(from, to, width) {
  const [low, high] = [Math.log(from), Math.log(to)];
  return (us) => ((Math.log(Math.max(us, from)) - low) / (high - low)) * width;
}

/** Powers of ten that are between. */
function decades(from, to) {
  const between = [];
  for (let power = 1; power <= to; power *= 10) if (power >= from) between.push(power);
  return between;
}
