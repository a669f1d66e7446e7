//! What the file of a trial's weights holds, shown by a network that has every layer with parameters.

use stn_core::Registry;
use stn_nn::{NetworkSpec, Plan};
use toml::{Table, Value};

use super::markdown::rows;

/// What holds of every network.
const RULES: &str = "Every parameter and running moment by name, in the layouts of PyTorch: a `torch.nn.Module` with attributes of these names loads it with `load_state_dict` ([Elsewhere](elsewhere.md#pytorch)). Numbers are 32-bit, or 64-bit with `precision = \"f64\"`.

Layers are numbered from 1 among those of their kind, in the order of the list; `trial.log` lists those of a trial. Below a transformer stands its localisation network, whose last layer is `theta`. A layer in front of `\"batch_norm\"` has no bias. The inputs of a fully connected layer are images channel by channel and row by row, then the thetas that are fed on. Images of one channel, 28 x 28, of 10 classes, in";

/// A network with every layer that has parameters.
const EXAMPLE: &str = r#"layers = [
    { st = { transform = "affine", localiser = [{ conv = [8, 5] }, "relu", { fc = 32 }, "relu"] } },
    { branches = [[{ conv = [4, 1] }, "relu"], [{ conv = [16, 3, 1, 1] }, "batch_norm", "relu"]] },
    { parallel_st = { count = 2, transform = "attention", localiser = [{ fc = 16 }, "relu"], each = [{ conv = [8, 3] }, "relu"] } },
    { parallel_st = { count = 2, transform = "affine", shared_localiser = [{ fc = 16 }, "relu"], feed_theta = true } },
    { fc = 64 }, "relu",
    { fc = "classes" },
]"#;

/// Names and shapes, as Markdown.
pub(super) fn section(registry: &Registry) -> String {
    let network = EXAMPLE.parse::<Table>().ok().and_then(|table| NetworkSpec::from_value(&Value::Table(table)).ok());
    let plan = network.and_then(|network| Plan::new(&network, [1, 28, 28], 10, registry).ok());
    let lines: Vec<[String; 3]> = plan.iter().flat_map(Plan::tensors).map(|(name, dims)| line(name, &dims)).collect();
    let cells: Vec<[&str; 3]> = lines.iter().map(|line| line.each_ref().map(String::as_str)).collect();
    format!("{RULES}\n\n```toml\n{EXAMPLE}\n```\n\ngive\n\n{}", rows(&["tensor", "shape here", "layout"], &cells))
}

fn line(name: String, dims: &[usize]) -> [String; 3] {
    let layout = match (name.rsplit('.').next().unwrap_or_default(), dims.len()) {
        ("weight", 4) => "filters x channels x kernel height x kernel width",
        ("weight", 2) => "units x inputs",
        ("weight", _) => "the scale of each channel",
        ("bias", _) => "one a filter, unit or channel",
        ("running_mean", _) => "the mean of each channel that evaluation takes",
        ("running_var", _) => "its variance",
        _ => "",
    };
    let shape = dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ");
    [format!("`{name}`"), shape, layout.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_tensor_is_shown() {
        let section = section(&stn_plugins::standard().unwrap());
        let tensors = ["st1.localiser.theta.weight` | 6 x 32", "branches1.branch2.batch_norm1.running_var` | 16", "parallel_st1.localiser2.theta.bias` | 3"];
        let more = ["parallel_st1.each2.conv1.weight` | 8 x 20 x 3 x 3", "parallel_st2.localiser.theta.weight` | 12 x 16", "fc2.bias` | 10"];
        assert!(tensors.iter().chain(&more).all(|line| section.contains(line)), "{section}");
        assert!(!section.contains("branch2.conv1.bias"));
    }
}
