// Scales from numbers to pixels, and where they are labelled.

/** A linear scale from `least` to `greatest`, widened to its labels at the upper end. */
function linear(least, greatest, labels) {
  const span = greatest - least || 1;
  const rough = span / labels;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999);
  const ticks = [];
  for (let i = Math.ceil(least / step - 1e-9); i * step <= greatest + step * 1e-9; i++) ticks.push(i * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return { share: (v) => (v - least) / span, ticks, label: (v) => (digits > 0 ? v.toFixed(digits) : grouped(Math.round(v))) };
}

/** A logarithmic scale over positive numbers; what is not above zero has no place on it. */
function logarithmic(least, greatest) {
  const [low, high] = [Math.log10(least) - 0.03, Math.log10(greatest) + 0.03];
  const span = Math.max(high - low, 1e-6);
  const every = span > 3 ? [1] : span > 1.2 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
  const ticks = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); power++) {
    for (const n of every) {
      const at = Math.log10(n) + power;
      if (at >= low && at <= high) ticks.push(n * 10 ** power);
    }
  }
  return { share: (v) => (v > 0 ? (Math.log10(v) - low) / span : NaN), ticks, label: (v) => String(Number(v.toPrecision(2))) };
}
