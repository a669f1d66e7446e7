use rand::SeedableRng;

use super::*;

const DRAWS: usize = 20_000;

fn layouts() -> (Statistics, Vec<Layout>) {
    let (statistics, mut random) = (Statistics::fitted().unwrap(), ChaCha8Rng::seed_from_u64(1));
    let layouts = (0..DRAWS).map(|_| statistics.draw(&mut random)).collect();
    (statistics, layouts)
}

/// The widths of the digits of a number in heights, by whether they are a 1; gaps, rise and bends; margins: measured as fit.py does.
struct Measured {
    widths: Vec<(bool, f32)>,
    gaps: Vec<f32>,
    rise: Option<f32>,
    bends: Vec<f32>,
    margins: [f32; 4],
}

fn measure(layout: &Layout) -> Measured {
    let digits: Vec<(u8, Bounds)> = layout.number.digits().map(|digit| (digit.value, digit.bounds)).collect();
    let unit = layout.height;
    let top = |place: usize| digits[place].1.top / unit;
    let last = digits.len() - 1;
    let rise = (top(last) - top(0)) / last.max(1) as f32;
    let around = Bounds::around(digits.iter().map(|(_, bounds)| *bounds)).unwrap();
    let (width, height) = (layout.photograph.0 as f32, layout.photograph.1 as f32);
    Measured {
        widths: digits.iter().map(|(value, bounds)| (*value == 1, bounds.width / unit)).collect(),
        gaps: digits.windows(2).map(|pair| (pair[1].1.left - pair[0].1.right()) / unit).collect(),
        rise: (last > 0).then_some(rise),
        bends: (1..last).map(|place| top(place) - top(0) - rise * place as f32).collect(),
        margins: [around.left, width - around.right(), around.top, height - around.bottom()].map(|margin| margin / unit),
    }
}

/// Of `values`, the shares at most the fitted quantiles, against `shares`: the greatest difference of distribution functions is below 2.2 / sqrt(n) but once in
/// 8,000 samples (Dvoretzky, Kiefer, Wolfowitz). `slack` is for what rounding adds.
fn assert_quantiles(name: &str, values: &[f32], quantiles: &[f32], slack: f32) {
    #[derive(Deserialize)]
    struct Shares {
        shares: Vec<f32>,
    }
    let shares = toml::from_str::<Shares>(TABLE).unwrap().shares;
    let bound = 2.2 / (values.len() as f32).sqrt();
    for (quantile, share) in quantiles.iter().zip(&shares).take(shares.len() - 1).skip(1) {
        let below = |limit: f32| values.iter().filter(|value| **value <= limit).count() as f32 / values.len() as f32;
        let found = (below(quantile - slack - 1e-4), below(quantile + slack + 1e-4));
        assert!(found.0 - bound <= *share && *share <= found.1 + bound, "{name}: {found:?} at most {quantile}, fitted {share} (bound {bound})");
    }
}

#[test]
fn lengths_and_digits_are_as_frequent_as_fitted() {
    let (statistics, layouts) = layouts();
    let of_length = |count: usize| layouts.iter().filter(|layout| layout.number.digits().count() == count).collect::<Vec<_>>();
    for (count, share) in (1..).zip(statistics.length) {
        let numbers = of_length(count);
        let deviation = |share: f32, n: usize| (share * (1.0 - share) / n as f32).sqrt();
        let found = numbers.len() as f32 / DRAWS as f32;
        assert!((found - share).abs() <= 4.0 * deviation(share, DRAWS) + 1e-4, "{count} digits: {found}, fitted {share}");
        for (place, value) in (0..count).flat_map(|place| (0..10).map(move |value| (place, value))).filter(|_| numbers.len() > 500) {
            let found = numbers.iter().filter(|layout| layout.number.classes()[place] == value as u32).count() as f32 / numbers.len() as f32;
            let share = statistics.digits[count - 1][place][value];
            assert!((found - share).abs() <= 4.0 * deviation(share, numbers.len()) + 2e-3, "{value} at {place} of {count}: {found}, fitted {share}");
        }
    }
}

#[test]
fn boxes_and_margins_have_the_fitted_quantiles() {
    let (statistics, layouts) = layouts();
    let measured: Vec<Measured> = layouts.iter().map(measure).collect();
    let heights: Vec<f32> = layouts.iter().map(|layout| layout.height).collect();
    assert_quantiles("height", &heights, &statistics.height, 0.0);
    // Digits of a number are alike, so that one of each is looked at.
    for (ones, quantiles) in [(false, &statistics.width), (true, &statistics.width_of_one)] {
        let widths: Vec<f32> = measured.iter().map(|number| number.widths[0]).filter(|(one, _)| *one == ones).map(|(_, width)| width).collect();
        assert_quantiles("width", &widths, quantiles, 0.0);
    }
    let first = |of: fn(&Measured) -> Option<f32>| measured.iter().filter_map(of).collect::<Vec<_>>();
    assert_quantiles("gap", &first(|number| number.gaps.first().copied()), &statistics.gap, 0.0);
    assert_quantiles("rise", &first(|number| number.rise), &statistics.rise, 0.0);
    assert_quantiles("bend", &first(|number| number.bends.first().copied()), &statistics.bend, 0.0);
    let slack = 0.5 / 20.0;
    for (index, quantiles) in [&statistics.left, &statistics.right, &statistics.top, &statistics.bottom].into_iter().enumerate() {
        let margins: Vec<f32> = measured.iter().map(|number| number.margins[index]).collect();
        assert_quantiles(["left", "right", "top", "bottom"][index], &margins, quantiles, slack);
    }
}

#[test]
fn what_belongs_to_one_number_is_as_correlated_as_fitted() {
    let (statistics, layouts) = layouts();
    // Back from a value to its standard score.
    let score = |quantiles: &[f32], value: f32| {
        let next = quantiles.partition_point(|&known| known < value).clamp(1, quantiles.len() - 1);
        let (from, to) = (quantiles[next - 1], quantiles[next]);
        statistics.scores[next - 1] + 0.5 * ((value - from) / (to - from).max(1e-6)).clamp(0.0, 1.0)
    };
    let mean = |products: Vec<f32>| products.iter().sum::<f32>() / products.len() as f32;
    let measured: Vec<Measured> = layouts.iter().map(measure).collect();
    let width = |(one, width): (bool, f32)| score(if one { &statistics.width_of_one } else { &statistics.width }, width);
    let widths = mean(measured.iter().filter(|number| number.widths.len() > 1).map(|number| width(number.widths[0]) * width(number.widths[1])).collect());
    let gaps = mean(
        measured
            .iter()
            .filter(|number| number.gaps.len() > 1)
            .map(|number| score(&statistics.gap, number.gaps[0]) * score(&statistics.gap, number.gaps[1]))
            .collect(),
    );
    let sides = mean(measured.iter().map(|number| score(&statistics.left, number.margins[0]) * score(&statistics.right, number.margins[1])).collect());
    for (name, found, fitted) in
        [("widths", widths, statistics.width_correlation), ("gaps", gaps, statistics.gap_correlation), ("margins", sides, statistics.margin_correlation)]
    {
        assert!((found - fitted).abs() < 0.05, "{name}: {found}, fitted {fitted}");
    }
}

#[test]
fn photographs_are_about_as_large_as_real_ones() {
    #[derive(Deserialize)]
    struct Sizes {
        photograph_width: [f32; 3],
        photograph_height: [f32; 3],
    }
    let real: Sizes = toml::from_str(TABLE).unwrap();
    let (_, layouts) = layouts();
    let compare = |side: fn(&Layout) -> u32, real: [f32; 3]| {
        let mut drawn: Vec<u32> = layouts.iter().map(side).collect();
        drawn.sort_unstable();
        for (share, real) in [0.1, 0.5, 0.9].into_iter().zip(real) {
            let found = drawn[(share * DRAWS as f64) as usize] as f32;
            assert!((found / real - 1.0).abs() < 0.12, "{found} at {share}, real {real}");
        }
    };
    compare(|layout| layout.photograph.0, real.photograph_width);
    compare(|layout| layout.photograph.1, real.photograph_height);
}

#[test]
fn a_looked_at_digit_is_any_of_its_number() {
    let (statistics, mut random) = (Statistics::fitted().unwrap(), ChaCha8Rng::seed_from_u64(2));
    let mut counts = [[0; 5]; 5];
    for _ in 0..DRAWS {
        let (layout, place) = statistics.draw_digit(&mut random);
        counts[layout.number.digits().count() - 1][place] += 1;
    }
    let of_length = |count: usize| counts[count - 1].iter().sum::<i32>() as f32 / DRAWS as f32;
    let mean: f32 = (1..).zip(statistics.length).map(|(count, share)| count as f32 * share).sum();
    for count in 1..=4 {
        let expected = count as f32 * statistics.length[count - 1] / mean;
        assert!((of_length(count) - expected).abs() < 0.02, "{count}: {}, expected {expected}", of_length(count));
        assert!(counts[count - 1][..count].iter().all(|&places| (places as f32 * count as f32 / DRAWS as f32 / expected - 1.0).abs() < 0.2), "{counts:?}");
    }
}
