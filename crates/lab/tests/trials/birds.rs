//! The shipped experiments on birds in short, on a small folder of the tests' own.

use std::path::Path;

use image::{Rgb, RgbImage};
use stn_core::stream::stream;
use stn_lab::Experiment;

use crate::tiny::{folder_of, go, registry};

/// A folder as CUB-200-2011 unpacks: 3 classes of 6 images, half of them for training, each a square of its class's colour on a grey ground.
fn folder() -> tempfile::TempDir {
    use rand::RngExt;
    let dir = tempfile::tempdir().unwrap();
    let [mut classes, mut images, mut labels, mut split] = [const { String::new() }; 4];
    for class in 0..3 {
        let name = format!("{:03}.Bird_{class}", class + 1);
        classes += &format!("{} {name}\n", class + 1);
        std::fs::create_dir_all(dir.path().join("images").join(&name)).unwrap();
        for i in 0..6 {
            let (id, file) = (6 * class + i + 1, format!("{name}/{i}.png"));
            images += &format!("{id} {file}\n");
            labels += &format!("{id} {}\n", class + 1);
            split += &format!("{id} {}\n", i % 2);
            let mut random = stream(0, "birds", id as u64);
            let (left, top) = (random.random_range(0..90), random.random_range(0..70));
            let mut bird = [40; 3];
            bird[class] = 230;
            let pixel = |x: u32, y: u32| if (left..left + 30).contains(&x) && (top..top + 30).contains(&y) { Rgb(bird) } else { Rgb([120; 3]) };
            RgbImage::from_fn(120, 100, pixel).save(dir.path().join("images").join(file)).unwrap();
        }
    }
    for (name, text) in [("classes.txt", classes), ("images.txt", images), ("image_class_labels.txt", labels), ("train_test_split.txt", split)] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// A shipped experiment, in short.
fn shipped(name: &str, data: &Path, arguments: &[&str]) -> Experiment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments").join(name);
    let data = format!("dataset.dir='{}'", data.display());
    let overrides: Vec<String> = [&["dataset.classes=3", "sweep.seeds=1", data.as_str()], arguments].concat().into_iter().map(str::to_owned).collect();
    Experiment::load(&path, &overrides, &registry()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn the_small_experiment_trains_and_leaves_windows_and_running_moments() {
    let (data, out) = (folder(), tempfile::tempdir().unwrap());
    let experiment = shipped("cub_small.toml", data.path(), &["train.steps=3", "train.batch=4"]);
    let summary = go(&experiment, out.path());
    assert_eq!((summary.trained.len(), summary.failed.len()), (3, 0), "{summary:?}");
    for (trial, windows) in experiment.trials().iter().zip([0, 2, 4]) {
        let weights = candle_core::safetensors::load(folder_of(out.path(), trial).join("weights.safetensors"), &candle_core::Device::Cpu).unwrap();
        let first = |name: &str| weights.contains_key(name);
        assert_eq!(first("branches1.branch1.batch_norm1.running_mean"), windows == 0);
        for i in 1..=4 {
            assert_eq!(first(&format!("parallel_st1.each{i}.branches1.branch1.batch_norm1.running_mean")), i <= windows);
        }
    }
}

#[test]
fn the_published_networks_train_a_step() {
    let (data, out) = (folder(), tempfile::tempdir().unwrap());
    let experiment = shipped("cub_parallel_st.toml", data.path(), &["model=2xst", "dataset.size=64", "train.steps=1", "train.batch=2", "dataset.test_limit=2"]);
    let summary = go(&experiment, out.path());
    assert_eq!((summary.trained.len(), summary.failed.len()), (1, 0), "{summary:?}");
    let plan = experiment.trials()[0].plan.as_ref().unwrap();
    let sides: Vec<String> = plan.describe().into_iter().filter(|line| line.name.starts_with("parallel_st1.each1.branches")).map(|line| line.output).collect();
    let modules: Vec<&str> =
        sides.iter().map(String::as_str).filter(|output| ["256 x 28 x 28", "576 x 14 x 14", "608 x 14 x 14", "1024 x 7 x 7"].contains(output)).collect();
    assert!(modules.len() >= 7, "{sides:?}");
}
