// Which lines are drawn: of every trial, or means over seeds; smoothed.

/** A trial's curve as steps, errors. */
function curveOf(trial, split) {
  const [steps, errors] = data.curves.trials[trial.index][split === "test" ? 0 : 1];
  return { steps: data.curves.steps[steps], errors };
}

/**
 * Exponential smoothing, with the weights of what is there summing to one: y_n = (sum of s^(n-i) x_i) / (sum of s^(n-i)). It begins anew after a gap.
 */
function smoothed(values, strength) {
  if (strength === 0) return values;
  let [sum, weight] = [0, 0];
  return values.map((value) => {
    if (value === null) {
      [sum, weight] = [0, 0];
      return null;
    }
    sum = strength * sum + value;
    weight = strength * weight + 1;
    return sum / weight;
  });
}

/** One line for each trial. */
function eachLine(trials, split, strength) {
  return trials.map((trial) => {
    const { steps, errors } = curveOf(trial, split);
    const means = smoothed(errors, strength);
    return { name: trial.name, series: trial.series, distortion: trial.distortion, split, points: steps.map((step, i) => ({ step, error: means[i] })) };
  });
}

/**
 * One line for each model on each distortion: means over the seeds (those that ended well, where any did) at the
 * steps that all have, and their range.
 */
function meanLines(trials, split, strength) {
  const groups = new Map();
  for (const trial of trials) {
    const key = `${trial.series} ${trial.distortion}`;
    groups.set(key, [...(groups.get(key) ?? []), trial]);
  }
  const done = (group) => group.filter((trial) => trial.status === "done");
  return [...groups.values()].map((all) => {
    const group = done(all).length > 0 ? done(all) : all;
    const curves = group.map((trial) => curveOf(trial, split)).filter((curve) => curve.steps.length > 0);
    const at = new Map();
    for (const { steps, errors } of curves) {
      const means = smoothed(errors, strength);
      steps.forEach((step, i) => at.set(step, [...(at.get(step) ?? []), means[i]]));
    }
    const points = [...at].filter(([, errors]) => errors.length === curves.length).sort((a, b) => a[0] - b[0]);
    const [first] = group;
    const names = [data.series[first.series] ?? first.model, `on ${first.distortion}`, group.length > 1 ? `mean of ${curves.length} seeds` : `seed ${first.seed}`];
    return { name: names.join(", "), series: first.series, distortion: first.distortion, split, points: points.map(summed) };
  });
}

function summed([step, errors]) {
  if (errors.some((error) => error === null)) return { step, error: null };
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  return errors.length === 1 ? { step, error: mean } : { step, error: mean, least: Math.min(...errors), greatest: Math.max(...errors) };
}

/** The unbroken pieces of a line as screen points. */
function pieces(points, place) {
  const all = [[]];
  for (const point of points) {
    const at = point.error === null ? null : place(point);
    if (at && Number.isFinite(at[1])) all[all.length - 1].push(at);
    else if (all[all.length - 1].length > 0) all.push([]);
  }
  return all.filter((piece) => piece.length > 0);
}

const pathOf = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
