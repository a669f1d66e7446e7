//! Whole reports from made-up results.

mod fixture;

use fixture::Fixture;

use std::path::{Path, PathBuf};
use stn_report::{Options, Report, write};

fn report(fixture: &Fixture) -> (tempfile::TempDir, PathBuf, Report) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("made_up");
    fixture.write(&dir);
    let report = write(&dir, &Options::default()).unwrap();
    (root, dir, report)
}

fn names(report: &Report) -> Vec<String> {
    report.files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// Eight models with every published number on all four distortions.
fn table_1() -> Fixture {
    let models: Vec<String> = ["FCN", "CNN", "ST-FCN Aff", "ST-FCN Proj", "ST-FCN TPS", "ST-CNN Aff", "ST-CNN Proj", "ST-CNN TPS"].map(str::to_string).to_vec();
    let experiment = format!("[sweep.grid]\nmodel = {models:?}\n[report]\nbaseline = \"CNN\"\n[report.published]\n")
        + "R = { FCN = 2.1, CNN = 1.2, \"ST-FCN Aff\" = 1.2, \"ST-FCN Proj\" = 1.3, \"ST-FCN TPS\" = 1.1, \"ST-CNN Aff\" = 0.7, \"ST-CNN Proj\" = 0.8, \"ST-CNN TPS\" = 0.7 }\n"
        + "E = { FCN = 3.2, CNN = 1.4 }\n";
    Fixture { models, distortions: vec!["E", "R", "RTS", "P"], seeds: 3, plain: 2, layers: 1, synthetic: true, experiment }
}

#[test]
fn the_table_of_one_distortion() {
    let (_root, dir, report) = report(&Fixture::quickstart());
    insta::assert_snapshot!("quickstart_terminal", report.table);
    insta::assert_snapshot!("quickstart_markdown", std::fs::read_to_string(dir.join("report/table.md")).unwrap());
    insta::assert_snapshot!("quickstart_csv", std::fs::read_to_string(dir.join("report/table.csv")).unwrap());
}

#[test]
fn the_table_of_four_distortions_beside_published_numbers() {
    let (_root, _dir, report) = report(&table_1());
    insta::assert_snapshot!("table_1_terminal", report.table);
    assert!(report.table.lines().all(|line| line.chars().count() <= 100), "wider than the terminal");
    assert!(report.table.contains("SYNTHETIC"));
}

/// `cargo test -p stn-report -- --ignored` leaves the figures under target/tmp/look for looking at.
#[test]
#[ignore = "for looking at the figures"]
fn figures_for_looking_at() {
    let look = Path::new(env!("CARGO_TARGET_TMPDIR")).join("look");
    let deep = Fixture { layers: 3, ..Fixture::quickstart() };
    let long = |name: &str| format!("{name}_with_a_very_long_name_that_says_everything <&> \"all\"");
    let awkward = Fixture {
        models: ["cnn", "st_cnn_projective_thin_plate_spline_deep"].map(long).to_vec(),
        seeds: 1,
        plain: 1,
        synthetic: true,
        experiment: String::new(),
        ..Fixture::quickstart()
    };
    for (name, fixture) in [("quickstart", Fixture::quickstart()), ("table_1", table_1()), ("deep", deep), ("awkward", awkward)] {
        let dir = look.join(name);
        let _ = std::fs::remove_dir_all(&dir);
        fixture.write(&dir);
        println!("{}", write(&dir, &Options::default()).unwrap().table);
    }
}
