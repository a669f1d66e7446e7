//! Batch normalisation, branches, networks behind parallel transformers and weights to start from, as layers of a network: names, shapes, state, mistakes.

mod networks;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use networks::{difference, images, listed, network, plan, spec, values};
use stn_nn::{Gradients, Mode, Network, NetworkSpec, Optimizer, OptimizerSpec, Plan};

const INCEPTION: &str = "layers = [{ conv = [4, 3] }, 'batch_norm', 'relu', { branches = [[{ conv = [3, 1] }, 'batch_norm', 'relu'], [{ avg = { kernel = 3, stride = 1, padding = 1 } }, { conv = [2, 1] }]] },
    { avg = 'all' }, { fc = 'classes' }]";

const BIRDS: &str = "layers = [{ parallel_st = { count = 2, transform = { kind = 'attention', scale = 0.5 }, output = [6, 6], lr_factor = 1e-4, shared_localiser = [{ fc = 8 }, 'relu'],
    each = [{ conv = [4, 3] }, 'batch_norm', 'relu', { avg = 'all' }] } }, { dropout = 0.7 }, { fc = 'classes' }]";

fn lines(text: &str, input: &[usize]) -> Vec<(String, String, usize)> {
    let plan = plan(text, input, 3).unwrap_or_else(|faults| panic!("{}", listed(&faults).join("\n")));
    plan.describe().into_iter().map(|line| (line.name, line.output, line.parameters)).collect()
}

fn faults(layers: &str) -> Vec<String> {
    listed(&plan(&format!("layers = [{layers}]"), &[3, 12, 12], 3).unwrap_err())
}

fn owned(lines: &[(&str, &str, usize)]) -> Vec<(String, String, usize)> {
    lines.iter().map(|(name, output, parameters)| ((*name).into(), (*output).into(), *parameters)).collect()
}

#[test]
fn branches_are_joined_along_channels_and_what_is_normalised_has_no_bias() {
    let expected = [
        ("conv1", "4 x 10 x 10", 4 * 3 * 9),
        ("batch_norm1", "4 x 10 x 10", 8),
        ("relu1", "4 x 10 x 10", 0),
        ("branches1.branch1.conv1", "3 x 10 x 10", 12),
        ("branches1.branch1.batch_norm1", "3 x 10 x 10", 6),
        ("branches1.branch1.relu1", "3 x 10 x 10", 0),
        ("branches1.branch2.avg1", "4 x 10 x 10", 0),
        ("branches1.branch2.conv1", "2 x 10 x 10", 10),
        ("branches1", "5 x 10 x 10", 0),
        ("avg1", "5 x 1 x 1", 0),
        ("fc1", "3", 18),
    ];
    assert_eq!(lines(INCEPTION, &[3, 12, 12]), owned(&expected));
    let network = network(INCEPTION, &[3, 12, 12], 3, 1, DType::F32);
    let sum: usize = network.parameters().iter().map(|parameter| parameter.var.elem_count()).sum();
    assert_eq!(sum, plan(INCEPTION, &[3, 12, 12], 3).unwrap().parameters());
}

#[test]
fn every_parallel_transformer_has_a_network_of_its_own_and_the_descriptors_are_joined() {
    let expected = [
        ("parallel_st1.localiser.fc1", "8", 3 * 144 * 8 + 8),
        ("parallel_st1.localiser.relu1", "8", 0),
        ("parallel_st1.localiser.theta", "4", 36),
        ("parallel_st1.each1.conv1", "4 x 4 x 4", 108),
        ("parallel_st1.each1.batch_norm1", "4 x 4 x 4", 8),
        ("parallel_st1.each1.relu1", "4 x 4 x 4", 0),
        ("parallel_st1.each1.avg1", "4 x 1 x 1", 0),
        ("parallel_st1.each2.conv1", "4 x 4 x 4", 108),
        ("parallel_st1.each2.batch_norm1", "4 x 4 x 4", 8),
        ("parallel_st1.each2.relu1", "4 x 4 x 4", 0),
        ("parallel_st1.each2.avg1", "4 x 1 x 1", 0),
        ("parallel_st1", "8 x 1 x 1", 0),
        ("dropout1", "8 x 1 x 1", 0),
        ("fc1", "3", 27),
    ];
    assert_eq!(lines(BIRDS, &[3, 12, 12]), owned(&expected));
    let network = network(BIRDS, &[3, 12, 12], 3, 1, DType::F64);
    let weight = |i: usize| values(&network.tensors()[&format!("parallel_st1.each{i}.conv1.weight")]);
    assert_ne!(weight(1), weight(2));
    let outcome = network.infer(&images(&[2, 3, 12, 12], 0, DType::F64)).unwrap();
    let thetas: Vec<_> = outcome.warps.iter().map(|warp| (warp.theta_names.join(" "), values(&warp.theta)[..2].to_vec())).collect();
    assert_eq!(thetas, [("tx ty".to_owned(), vec![-0.5, 0.0]), ("tx ty".to_owned(), vec![0.5, 0.0])]);
    assert_eq!(outcome.warps[0].output.as_ref().unwrap().dims(), [2, 3, 6, 6]);
}

#[test]
fn mistakes_say_where_and_what() {
    let joined = faults("{ branches = [[{ conv = [2, 1] }], [{ conv = [2, 3] }]] }, { fc = 'classes' }");
    assert_eq!(
        joined,
        [
            "`layers.0.branches.1`: branch 2 gives 2 x 10 x 10, which cannot be joined to the 2 x 12 x 12 of the first; only the number of channels may differ: set strides and paddings so that the other sides agree"
        ]
    );
    let vector = faults("{ branches = [[{ conv = [2, 1] }], [{ fc = 3 }]] }, { fc = 'classes' }");
    assert!(vector[0].starts_with("`layers.0.branches.1`: branch 2 gives 3, which cannot be joined"), "{vector:?}");
    let plugin = faults("{ branches = [[{ st = { transform = 'afine', localiser = [{ fc = 2 }] } }]] }, { fc = 'classes' }");
    assert!(plugin[0].starts_with("`layers.0.branches.0.0.st.transform`: unknown transformation `afine`"), "{plugin:?}");
    let fed = faults("{ branches = [[{ st = { transform = 'affine', feed_theta = true, localiser = [{ fc = 2 }] } }, 'relu']] }, { fc = 'classes' }");
    assert!(fed[0].starts_with("`layers.0.branches.0.1`: theta is fed on, but no fc layer of this list takes it"), "{fed:?}");
    let reading = |layers: &str| listed(&spec(&format!("layers = [{layers}]")).unwrap_err());
    assert_eq!(reading("{ avg = 'al' }"), ["`layers.0.avg`: expected a number, [h, w] or \"all\", found \"al\""]);
    assert_eq!(reading("{ branches = 3 }"), ["`layers.0.branches`: expected an array of layer lists, found 3"]);
    assert_eq!(
        reading("'branches'")[0],
        "`layers.0`: `branches` needs arguments; write { branches = [[{ conv = [16, 1] }, \"relu\"], [{ conv = [16, 3, 1, 1] }, \"relu\"]] }"
    );
    assert_eq!(
        reading("{ batch_norm = { momentum = 2, epsilon = 0 } }"),
        ["`layers.0.batch_norm.momentum`: expected a share from 0 to 1, found 2", "`layers.0.batch_norm.epsilon`: expected a number above 0, found 0"]
    );
}

#[test]
fn an_error_of_batch_normalisation_names_the_layer() {
    let network = network("layers = [{ fc = 4 }, 'batch_norm', { fc = 'classes' }]", &[1, 3, 3], 3, 1, DType::F32);
    let error = network.record(&images(&[1, 1, 3, 3], 0, DType::F32), 0, 0).unwrap_err().to_string();
    assert!(error.contains("layer `batch_norm1`: batch_norm: x is [1, 4], one number a channel"), "{error}");
}

/// Two steps with momentum and weight decay.
fn train(network: &Network) {
    let optimizer: toml::Table = "optimizer = { kind = 'sgd', momentum = 0.9, weight_decay = 0.5 }".parse().unwrap();
    let mut optimizer = Optimizer::new(&OptimizerSpec::from_value(&optimizer["optimizer"]).unwrap(), network.parameters()).unwrap();
    for step in 0..2 {
        let labels = Tensor::new(&[0_u32, 1, 2, 1], &Device::Cpu).unwrap();
        let recorded = network.record(&images(&[4, 3, 12, 12], step, DType::F32), 1, step).unwrap();
        let (_, gradient) = recorded.loss(|logits| stn_ops::cross_entropy(logits, &labels)).unwrap();
        let mut gradients = Gradients::default();
        recorded.backward(&gradient, |i, gradient| gradients.set(i, &gradient)).unwrap();
        optimizer.step(&gradients, 0.1).unwrap();
    }
}

#[test]
fn running_moments_are_saved_and_restored_and_no_optimiser_touches_them() {
    let trained = network(INCEPTION, &[3, 12, 12], 3, 1, DType::F32);
    train(&trained);
    let saved: BTreeMap<String, Tensor> = trained.tensors().into_iter().map(|(name, tensor)| (name, tensor.copy().unwrap())).collect();
    assert!(saved.contains_key("branches1.branch1.batch_norm1.running_var") && !saved.contains_key("conv1.bias"));
    assert!(trained.parameters().iter().all(|parameter| !parameter.name.contains("running")));
    assert!(trained.parameters().iter().filter(|parameter| parameter.name.contains("batch_norm")).all(|parameter| !parameter.decay));
    // As the op alone moves them: the first layer's input does not depend on the weights that were moved in between but by the filters, so one step is looked at.
    let once = network(INCEPTION, &[3, 12, 12], 3, 1, DType::F32);
    let batch = images(&[4, 3, 12, 12], 0, DType::F32);
    let filtered = stn_ops::conv2d(&batch, &once.tensors()["conv1.weight"], None, Default::default()).unwrap();
    let (mean, variance) = (Tensor::zeros(4, DType::F32, &Device::Cpu).unwrap(), Tensor::ones(4, DType::F32, &Device::Cpu).unwrap());
    stn_ops::Moments::of(&filtered).unwrap().lead(0.1, &mean, &variance).unwrap();
    once.forward(&batch, Mode::Train { seed: 1, step: 0 }).unwrap();
    assert!(difference(&mean, &once.tensors()["batch_norm1.running_mean"]) < 1e-6);
    assert!(difference(&variance, &once.tensors()["batch_norm1.running_var"]) < 1e-6);
    let restored = network(INCEPTION, &[3, 12, 12], 3, 9, DType::F32);
    restored.load(&saved).unwrap();
    let logits = |network: &Network| values(&network.infer(&batch).unwrap().logits);
    assert_eq!(logits(&restored), logits(&trained));
    let mut less = saved.clone();
    less.remove("batch_norm1.running_mean");
    assert!(restored.load(&less).unwrap_err().to_string().contains("`batch_norm1.running_mean` is missing"));
}

/// A spec whose weights' file was found to hold these tensors.
fn found(text: &str, tensors: &BTreeMap<String, Tensor>) -> NetworkSpec {
    let mut spec = spec(text).unwrap_or_else(|faults| panic!("{faults:?}"));
    spec.weights_found("abc".into(), tensors.iter().map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect());
    spec
}

fn planned(spec: &NetworkSpec) -> Result<Plan, Vec<String>> {
    Plan::new(spec, [3, 12, 12], 3, &stn_plugins::standard().unwrap()).map_err(|faults| listed(&faults))
}

/// What a network that was trained elsewhere left: one list, and the count that PyTorch keeps.
fn encoder() -> BTreeMap<String, Tensor> {
    let text = "layers = [{ conv = [4, 3] }, 'batch_norm', 'relu', { avg = 'all' }, { fc = 7 }, { fc = 'classes' }]";
    let mut tensors = network(text, &[3, 6, 6], 3, 5, DType::F32).tensors();
    tensors.insert("batch_norm1.num_batches_tracked".into(), Tensor::new(12_i64, &Device::Cpu).unwrap());
    tensors
}

#[test]
fn a_file_of_weights_goes_to_every_part_that_it_is_for_and_leaves_the_rest_as_drawn() {
    let encoder = encoder();
    let text = format!("weights = {{ file = 'a.safetensors', into = ['parallel_st1.each1', 'parallel_st1.each2'], except = ['fc1', 'fc2'] }}\n{BIRDS}");
    let plan = planned(&found(&text, &encoder)).unwrap();
    let (drawn, started) = (Network::new(&plan, 1, DType::F32, &Device::Cpu).unwrap(), Network::new(&plan, 1, DType::F32, &Device::Cpu).unwrap());
    started.start_from(plan.weights().unwrap(), &encoder).unwrap();
    for (name, tensor) in started.tensors() {
        let below = name.strip_prefix("parallel_st1.each1.").or(name.strip_prefix("parallel_st1.each2."));
        let expected = below.map_or_else(|| drawn.tensors()[&name].clone(), |name| encoder[name].clone());
        assert_eq!(values(&tensor), values(&expected), "{name}");
    }
}

#[test]
fn the_content_of_a_file_of_weights_is_a_part_of_what_a_network_is_and_its_name_is_not() {
    let encoder = encoder();
    let text = |spec: &NetworkSpec| toml::Value::try_from(spec).unwrap().to_string();
    let [a, b] = ["a", "b"].map(|file| found(&format!("weights = '{file}'\n{BIRDS}"), &encoder));
    assert_eq!(text(&a), text(&b));
    assert!(text(&a).contains("content = \"abc\""), "{}", text(&a));
    let mut other = a.clone();
    other.weights_found("abd".into(), BTreeMap::new());
    assert_ne!(text(&a), text(&other));
    assert_ne!(text(&a), text(&spec(BIRDS).unwrap()));
}

#[test]
fn weights_that_do_not_fit_are_listed() {
    let encoder = encoder();
    let text = "weights = 'a.safetensors'\nlayers = [{ conv = [5, 3] }, 'batch_norm', { fc = 'classes' }]";
    let message = planned(&found(text, &encoder)).unwrap_err().remove(0);
    let expected = "`weights`: a.safetensors does not fit this network: `batch_norm1.bias` is 5 here and 4 in the file; `batch_norm1.running_mean` is 5 here and 4 in the file; ";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("`fc2.bias` (3) is none of this network's; 1 more; leave layers out with"), "{message}");
    let nothing = planned(&found("weights = { file = 'a', except = ['conv1', 'batch_norm1', 'fc1', 'fc2'] }\nlayers = [{ fc = 'classes' }]", &encoder));
    assert_eq!(nothing.unwrap_err(), ["`weights`: a holds nothing for this network"]);
    let reading = listed(&spec("weights = { into = [], except = 'fc1' }\nlayers = [{ fc = 'classes' }]").unwrap_err());
    assert_eq!(reading.len(), 3, "{reading:?}");
    let network = network("layers = [{ fc = 'classes' }]", &[1, 2, 2], 3, 1, DType::F32);
    let error = network.start_from(spec(text).unwrap().weights().unwrap(), &encoder).unwrap_err().to_string();
    assert!(error.contains("which this network has not"), "{error}");
}
