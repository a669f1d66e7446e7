//! The networks of Table 1 of the paper: every one meets 400 000 parameters within 2 %.

mod networks;

const BUDGET: f64 = 400_000.0;
const TRANSFORMS: [&str; 3] = ["'affine'", "'projective'", "'tps'"];
const FCN: &str = "{ fc = 'auto' }, 'relu', { fc = 'auto' }, 'relu', { fc = 'classes' }, 'softmax'";
/// Pooling rounds up: a 7 x 7 convolution does not fit what is left of 21 x 21 otherwise.
const CNN: &str = "{ conv = ['auto', 9] }, { max = { kernel = 2, rounding = 'up' } }, 'relu', { conv = ['auto', 7] },
    { max = { kernel = 2, rounding = 'up' } }, 'relu', { fc = 'classes' }, 'softmax'";
const FCN_LOCALISER: &str = "{ fc = 32 }, 'relu', { fc = 32 }, 'relu', { fc = 32 }, 'relu'";
const CNN_LOCALISER: &str = "{ avg = 2 }, { conv = [20, 5] }, { max = 2 }, 'relu', { conv = [20, 5] }, 'relu', { fc = 20 }, 'relu'";

fn deviation(layers: &str, side: usize) -> (f64, usize) {
    let text = format!("parameters = 400000\nlayers = [{layers}]");
    let plan = networks::plan(&text, &[1, side, side], 10).unwrap_or_else(|faults| panic!("{}", networks::listed(&faults).join("\n")));
    ((plan.parameters() as f64 - BUDGET).abs() / BUDGET, plan.width().unwrap())
}

fn within(layers: &str, side: usize) {
    let (deviation, width) = deviation(layers, side);
    assert!(deviation < 0.02, "{side}: {width} wide, {:.2} % off\n{layers}", 100.0 * deviation);
}

/// A transformer in front; on the larger images its output is averaged 2 x.
fn transformed(classifier: &str, localiser: &str, transform: &str, side: usize) -> String {
    let halved = if side > 28 { "{ avg = 2 }," } else { "" };
    format!("{{ st = {{ transform = {transform}, localiser = [{localiser}] }} }}, {halved} {classifier}")
}

#[test]
fn plain_networks_meet_the_budget() {
    for side in [28, 42, 60] {
        within(FCN, side);
        within(CNN, side);
    }
}

#[test]
fn spatial_transformer_networks_meet_the_budget() {
    for side in [28, 42, 60] {
        for transform in TRANSFORMS {
            within(&transformed(FCN, FCN_LOCALISER, transform, side), side);
            within(&transformed(CNN, CNN_LOCALISER, transform, side), side);
        }
    }
}
