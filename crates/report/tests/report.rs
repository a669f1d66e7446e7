//! Whole reports from made-up results.

mod fixture;

use fixture::Fixture;

use polars::prelude::{ParquetReader, SerReader};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use stn_report::{Error, Format, Options, Report, write};

/// Figures as SVG alone, which are drawn soonest.
fn quick() -> Options {
    Options { formats: Some(vec![Format::Svg]), ..Options::default() }
}

fn report(fixture: &Fixture) -> (tempfile::TempDir, PathBuf, Report) {
    report_with(fixture, &quick())
}

fn report_with(fixture: &Fixture, options: &Options) -> (tempfile::TempDir, PathBuf, Report) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("made_up");
    fixture.write(&dir);
    let report = write(&dir, options).unwrap();
    (root, dir, report)
}

fn names(report: &Report) -> Vec<String> {
    report.files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())).collect()
}

/// Eight models with every published number on all four distortions.
fn table_1() -> Fixture {
    let models: Vec<String> = ["FCN", "CNN", "ST-FCN Aff", "ST-FCN Proj", "ST-FCN TPS", "ST-CNN Aff", "ST-CNN Proj", "ST-CNN TPS"].map(str::to_string).to_vec();
    let experiment = format!(
        "[sweep.grid]\nmodel = {:?}\n[report]\nbaseline = \"CNN\"\n[report.published]\n",
        models.iter().map(|m| m.to_lowercase()).collect::<Vec<_>>()
    ) + "R = { FCN = 2.1, CNN = 1.2, \"ST-FCN Aff\" = 1.2, \"ST-FCN Proj\" = 1.3, \"ST-FCN TPS\" = 1.1, \"ST-CNN Aff\" = 0.7, \"ST-CNN Proj\" = 0.8, \"ST-CNN TPS\" = 0.7 }\n"
        + "E = { FCN = 3.2, CNN = 1.4 }\n";
    Fixture { models, distortions: vec!["E", "R", "RTS", "P"], seeds: 3, plain: 2, layers: 1, steps: 1, synthetic: false, experiment }
}

#[test]
fn the_table_of_one_distortion() {
    let (_root, dir, report) = report(&Fixture::quickstart());
    insta::assert_snapshot!("quickstart_terminal", report.table);
    insta::assert_snapshot!("quickstart_markdown", fs::read_to_string(dir.join("report/table.md")).unwrap());
    insta::assert_snapshot!("quickstart_csv", fs::read_to_string(dir.join("report/table.csv")).unwrap());
}

#[test]
fn the_table_of_four_distortions_beside_published_numbers() {
    let (_root, dir, report) = report(&table_1());
    insta::assert_snapshot!("table_1_terminal", report.table);
    insta::assert_snapshot!("table_1_markdown", fs::read_to_string(dir.join("report/table.md")).unwrap());
    insta::assert_snapshot!("table_1_latex", fs::read_to_string(dir.join("report/table.tex")).unwrap());
    assert!(report.table.lines().all(|line| line.chars().count() <= 100), "wider than the terminal");
}

#[test]
fn synthetic_data_is_called_so_and_nothing_is_published_on_it() {
    let (_root, dir, on_recorded) = report(&table_1());
    assert!(on_recorded.table.contains("published") && !on_recorded.table.contains("SYNTHETIC"));
    assert!(!fs::read_to_string(dir.join("report/comparison.svg")).unwrap().contains("synthetic data"));
    let (_root, dir, on_synthetic) = report(&Fixture { synthetic: true, ..table_1() });
    assert!(on_synthetic.table.contains("SYNTHETIC") && !on_synthetic.table.contains("published"), "{}", on_synthetic.table);
    assert!(fs::read_to_string(dir.join("report/comparison.svg")).unwrap().contains("synthetic data"));
}

#[test]
fn facts_from_before_images_had_several_labels_are_read() {
    let root = tempfile::tempdir().unwrap();
    Fixture { models: vec!["CNN".into()], plain: 1, seeds: 2, ..Fixture::quickstart() }.write(root.path());
    let path = fixture::trial(root.path(), 0, 0, 0).join("facts.parquet");
    let mut frame = fixture::facts(path.parent().unwrap(), "R", 0, 1000, 4.5, 20.0, false).drop("labels").unwrap();
    fixture::save(&path, &mut frame);
    let report = write(root.path(), &quick()).unwrap();
    assert!(report.table.contains(" 2 ") && !report.table.contains("could not be read"), "{}", report.table);
}

#[test]
fn every_figure_comes_as_svg_png_pdf_and_csv_and_nothing_else_is_left() {
    let (_root, dir, report) = report_with(&table_1(), &Options::default());
    let mut expected: Vec<String> = ["comparison", "cost_step_time", "learning_curves", "montage_E", "montage_P", "montage_R", "montage_RTS", "seeds"]
        .iter()
        .flat_map(|name| ["csv", "pdf", "png", "svg"].map(|ending| format!("{name}.{ending}")))
        .chain(["index.html".to_string(), "table.csv".into(), "table.md".into(), "table.tex".into()])
        .collect();
    expected.sort();
    assert_eq!(names(&report), expected);
    assert_eq!(files(&dir.join("report")).len(), expected.len());
}

#[test]
fn a_report_made_again_is_the_same_byte_for_byte() {
    let (_root, dir, first) = report_with(&Fixture { layers: 2, ..Fixture::quickstart() }, &Options::default());
    let before = files(&dir.join("report"));
    let again = write(&dir, &Options::default()).unwrap();
    assert_eq!((again.table, again.files), (first.table, first.files));
    let after = files(&dir.join("report"));
    let changed: Vec<&String> = before.iter().filter(|(name, bytes)| after.get(*name) != Some(bytes)).map(|(name, _)| name).collect();
    assert!(changed.is_empty() && before.len() == after.len(), "{changed:?}");
}

#[test]
fn a_folder_that_is_not_there_says_what_to_type() {
    let error = write(Path::new("no/such/folder"), &quick()).unwrap_err().to_string();
    assert_eq!(error, "no results at no/such/folder: there is no such folder. Results appear there once the experiment has run: `stn run EXPERIMENT.toml`");
}

#[test]
fn trials_that_only_started_are_no_results() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("trials/abc")).unwrap();
    fixture::plan(root.path(), &[("abc".into(), "cnn".into(), "CNN".into(), 0, "{}".into())]);
    let error = write(root.path(), &quick()).unwrap_err();
    assert!(matches!(error, Error::NoTrials { started: 1, .. }), "{error}");
    assert!(error.to_string().ends_with("(1 started, none finished). Run the experiment first: `stn run EXPERIMENT.toml`"), "{error}");
    assert!(!root.path().join("report").exists());
}

#[test]
fn a_damaged_file_is_named_and_the_rest_is_reported() {
    let root = tempfile::tempdir().unwrap();
    Fixture::quickstart().write(root.path());
    let facts = fixture::trial(root.path(), 0, 1, 0).join("facts.parquet");
    fs::write(&facts, "PAR1 is not enough").unwrap();
    let warps = fixture::trial(root.path(), 0, 3, 0).join("warps.parquet");
    let whole = fs::read(&warps).unwrap();
    fs::write(&warps, &whole[..whole.len() / 2]).unwrap();
    let metrics = fixture::trial(root.path(), 0, 0, 0).join("metrics.parquet");
    fs::write(&metrics, "").unwrap();
    let error = write(root.path(), &quick()).unwrap_err();
    let text = error.to_string();
    let Error::Unreadable { files, report: Some(report) } = error else { panic!("{text}") };
    let named: Vec<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    assert_eq!(named, [facts.as_path(), metrics.as_path(), warps.as_path()], "{text}");
    assert!(text.contains("metrics.parquet: the file is empty"), "{text}");
    assert!(report.table.contains("unreadable: ") && report.table.contains("CNN                         4.97   1"), "{}", report.table);
    assert!(names(&report).contains(&"montage_R.svg".to_string()));
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    Fixture { models: vec!["CNN".into()], plain: 1, seeds: 1, ..Fixture::quickstart() }.write(root.path());
    let facts = fixture::trial(root.path(), 0, 0, 0).join("facts.parquet");
    let whole = fs::read(&facts).unwrap();
    for length in (0..whole.len()).step_by(211) {
        fs::write(&facts, &whole[..length]).unwrap();
        let error = write(root.path(), &quick()).unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }), "{length} bytes: {error}");
    }
}

#[test]
fn nothing_but_damaged_facts_is_an_error_without_a_report() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("trials/abc")).unwrap();
    fixture::plan(root.path(), &[("abc".into(), "cnn".into(), "CNN".into(), 0, "{}".into())]);
    fs::write(root.path().join("trials/abc/facts.parquet"), "x").unwrap();
    let error = write(root.path(), &quick()).unwrap_err();
    assert!(matches!(error, Error::Unreadable { report: None, .. }), "{error}");
}

#[test]
fn failed_and_unfinished_trials_are_listed_and_not_averaged() {
    let root = tempfile::tempdir().unwrap();
    Fixture::quickstart().write(root.path());
    let nan = fixture::trial(root.path(), 0, 1, 1);
    fixture::save(&nan.join("facts.parquet"), &mut fixture::facts(&nan, "R", 1, 399_000, f64::NAN, 27.0, false));
    fs::remove_file(fixture::trial(root.path(), 0, 4, 1).join("facts.parquet")).unwrap();
    let report = write(root.path(), &quick()).unwrap();
    let rows: Vec<&str> = report.table.lines().filter(|line| line.starts_with(" CNN") || line.starts_with(" ST-CNN TPS")).collect();
    assert!(rows.iter().all(|row| !row.contains('±')), "{}", report.table);
    assert!(report.table.contains("- CNN on R, seed 1 (trial 0101): test error is NaN"), "{}", report.table);
    assert!(report.table.contains("- not finished: 1 trial (ST-CNN TPS, distortion=R, seed 1)"), "{}", report.table);
}

#[test]
fn a_failed_trial_is_listed_with_its_reason() {
    let root = tempfile::tempdir().unwrap();
    Fixture::quickstart().write(root.path());
    let folder = fixture::trial(root.path(), 0, 2, 0);
    let mut facts = fixture::facts(&folder, "R", 0, 399_000, 3.0, 27.0, false);
    facts.with_column(polars::prelude::Column::new("status".into(), ["failed: the loss is NaN at step 7"])).unwrap();
    facts.with_column(polars::prelude::Column::new("test_error".into(), [None::<f64>])).unwrap();
    fixture::save(&folder.join("facts.parquet"), &mut facts);
    let report = write(root.path(), &quick()).unwrap();
    assert!(report.table.contains("- ST-CNN affine on R, seed 0 (trial 0200): failed: the loss is NaN at step 7"), "{}", report.table);
}

#[test]
fn only_the_trials_of_the_latest_run_count() {
    let root = tempfile::tempdir().unwrap();
    Fixture::quickstart().write(root.path());
    let mut plan = polars::df!("trial" => ["0000", "0100", "0999"], "model" => ["fcn", "cnn", "cnn"], "label" => ["FCN", "CNN", "CNN"], "seed" => [0i64, 0, 9],
        "differs" => ["{}"; 3])
    .unwrap();
    fixture::save(&root.path().join("plan.parquet"), &mut plan);
    let report = write(root.path(), &quick()).unwrap();
    assert!(!report.table.contains("ST-CNN") && report.table.lines().all(|line| !line.contains(" ± 0")), "{}", report.table);
    assert!(report.table.contains("- not finished: 1 trial (CNN, seed 9)"), "{}", report.table);
}

#[test]
fn what_the_latest_run_calls_a_trial_counts() {
    let root = tempfile::tempdir().unwrap();
    Fixture { models: vec!["CNN".into()], plain: 1, experiment: "[models.conv]\nlabel = \"Conv\"\n".into(), ..Fixture::quickstart() }.write(root.path());
    // A later run renamed and relabelled the model and swept over the rate of learning: seed 0 was there before, seed 1 is new.
    let new = fixture::trial(root.path(), 0, 0, 1);
    let mut facts = fixture::facts(&new, "R", 1, 399_000, 5.0, 27.0, false);
    fixture::save(&new.join("facts.parquet"), &mut facts);
    let differs = "{\"dataset.distortion\":\"R\",\"train.lr\":\"0.1\"}";
    let mut plan =
        polars::df!("trial" => ["0000", "0001"], "model" => ["conv"; 2], "label" => ["Conv"; 2], "seed" => [0i64, 1], "differs" => [differs; 2]).unwrap();
    fixture::save(&root.path().join("plan.parquet"), &mut plan);
    let report = write(root.path(), &quick()).unwrap();
    let row = report.table.lines().find(|line| line.contains("Conv, lr=0.1")).unwrap();
    assert!(row.contains(" ± ") && !report.table.contains("CNN"), "one row of two seeds:\n{}", report.table);
}

#[test]
fn figures_of_an_earlier_sweep_do_not_stay() {
    let root = tempfile::tempdir().unwrap();
    Fixture { distortions: vec!["E", "R"], ..Fixture::quickstart() }.write(root.path());
    write(root.path(), &Options::default()).unwrap();
    fs::write(root.path().join("report/notes.txt"), "mine").unwrap();
    assert!(root.path().join("report/montage_E.svg").is_file());
    let mut plan = polars::df!("trial" => ["1000", "1200"], "model" => ["fcn", "st-cnn affine"], "label" => ["FCN", "ST-CNN affine"], "seed" => [0i64, 0],
        "differs" => ["{}"; 2])
    .unwrap();
    fixture::save(&root.path().join("plan.parquet"), &mut plan);
    let report = write(root.path(), &Options::default()).unwrap();
    let left: Vec<String> = files(&root.path().join("report")).into_keys().filter(|name| name != "notes.txt").collect();
    assert_eq!(left, names(&report));
    assert!(root.path().join("report/notes.txt").is_file() && !left.iter().any(|name| name.contains("montage_E")), "{left:?}");
}

#[test]
fn the_caption_is_of_the_trials_averaged() {
    let root = tempfile::tempdir().unwrap();
    Fixture::quickstart().write(root.path());
    let folder = fixture::trial(root.path(), 0, 2, 0);
    let mut facts = fixture::facts(&folder, "R", 0, 399_000, f64::NAN, 27.0, false);
    facts.with_column(polars::prelude::Column::new("status".into(), ["failed: the loss is NaN at step 7"])).unwrap();
    facts.with_column(polars::prelude::Column::new("steps".into(), [7i64])).unwrap();
    facts.with_column(polars::prelude::Column::new("threads".into(), [64i64])).unwrap();
    fixture::save(&folder.join("facts.parquet"), &mut facts);
    let report = write(root.path(), &quick()).unwrap();
    assert!(report.table.contains("after 1,200 training steps") && report.table.contains("on cpu, 2 threads"), "{}", report.table);
}

#[test]
fn published_errors_may_be_of_a_swept_value() {
    let root = tempfile::tempdir().unwrap();
    let experiment = "[models.cnn]\n[report.published]\n\"size=64\" = { cnn = 4.0 }\n\"size=128\" = { cnn = 5.6 }\nR = { cnn = 7.7 }\n".to_owned();
    Fixture { models: vec!["CNN".into()], seeds: 3, plain: 1, experiment, ..Fixture::quickstart() }.write(root.path());
    let planned =
        |(seed, size)| (format!("000{seed}"), "cnn".to_owned(), "CNN".to_owned(), seed, format!("{{\"dataset.size\":\"{size}\",\"train.lr\":\"0.1\"}}"));
    fixture::plan(root.path(), &[(0, "64"), (1, "128"), (2, "256")].map(planned));
    write(root.path(), &quick()).unwrap();
    let table = fs::read_to_string(root.path().join("report/table.md")).unwrap();
    for (size, published) in [("64", "| 4 |"), ("128", "| 5.6 |"), ("256", "| 7.7 |")] {
        let row = table.lines().find(|line| line.starts_with(&format!("| CNN, size={size}, lr=0.1 |"))).unwrap();
        assert!(row.contains(published), "{table}");
    }
}

#[test]
fn the_caption_says_when_an_image_with_several_labels_is_wrong() {
    let root = tempfile::tempdir().unwrap();
    Fixture { models: vec!["CNN".into()], seeds: 1, plain: 1, ..Fixture::quickstart() }.write(root.path());
    let folder = fixture::trial(root.path(), 0, 0, 0);
    let mut facts = fixture::facts(&folder, "none", 0, 399_000, 4.0, 27.0, false);
    facts.with_column(polars::prelude::Column::new("labels".into(), [5i64])).unwrap();
    fixture::save(&folder.join("facts.parquet"), &mut facts);
    let report = write(root.path(), &quick()).unwrap();
    let caption = "Test error in percent (an image counts as wrong where one of its 5 labels is) after 1,200 training steps";
    assert!(report.table.contains(caption), "{}", report.table);
}

#[test]
fn a_sweep_over_more_than_the_model_is_not_averaged_over() {
    let root = tempfile::tempdir().unwrap();
    Fixture { models: vec!["CNN".into()], plain: 1, ..Fixture::quickstart() }.write(root.path());
    let planned = |(seed, lr)| (format!("000{seed}"), "cnn".to_owned(), "CNN".to_owned(), seed, format!("{{\"train.lr\":\"{lr}\"}}"));
    fixture::plan(root.path(), &[(0, "0.1"), (1, "0.01")].map(planned));
    let report = write(root.path(), &quick()).unwrap();
    assert!(report.table.contains(" CNN, lr=0.01 ") && report.table.contains(" CNN, lr=0.1 "), "{}", report.table);
}

/// Two models by two sizes by two rates of learning, two seeds each.
fn of_three_keys(report: &str) -> (tempfile::TempDir, String) {
    let root = tempfile::tempdir().unwrap();
    let experiment = format!("[sweep.grid]\nmodel = [\"fcn\", \"cnn\"]\n\"dataset.size\" = [64, 128]\n\"train.lr\" = [0.1, 0.01]\n[report]\n{report}");
    Fixture { models: ["FCN", "CNN"].map(str::to_string).to_vec(), plain: 2, seeds: 8, experiment, ..Fixture::quickstart() }.write(root.path());
    let planned = |i: i64| {
        let (m, seed, lr, size) = (i / 8, i % 2, ["0.1", "0.01"][(i / 2 % 2) as usize], ["64", "128"][(i / 4 % 2) as usize]);
        let differs = format!("{{\"dataset.size\":\"{size}\",\"train.lr\":\"{lr}\"}}");
        (format!("0{m}{:02}", i % 8), ["fcn", "cnn"][m as usize].to_owned(), ["FCN", "CNN"][m as usize].to_owned(), seed, differs)
    };
    fixture::plan(root.path(), &(0..16).map(planned).collect::<Vec<_>>());
    write(root.path(), &quick()).unwrap();
    let table = fs::read_to_string(root.path().join("report/table.md")).unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| "));
    let names = lines.map(|line| line.split(" | ").take(3).collect::<Vec<_>>().join(" | ") + "\n").collect();
    (root, names)
}

#[test]
fn keys_of_the_sweep_stand_in_lines_and_columns_as_asked() {
    let (_root, table) = of_three_keys("rows = 'model'\ncolumns = ['size', 'train.lr']\n");
    assert!(table.starts_with("| model | size=64, lr=0.01 | size=64, lr=0.1\n"), "{table}");
    let (_root, table) = of_three_keys("rows = ['dataset.size', 'train.lr']\ncolumns = 'model'\n");
    assert!(table.starts_with("| size | lr | FCN\n| --- | --- | --:\n| 64 | 0.01 | "), "{table}");
}

#[test]
fn values_that_are_no_ordinary_numbers_have_cells_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    Fixture { models: vec!["CNN".into()], seeds: 3, plain: 1, ..Fixture::quickstart() }.write(root.path());
    let planned = |(seed, lr)| (format!("000{seed}"), "cnn".to_owned(), "CNN".to_owned(), seed, format!("{{\"train.lr\":\"{lr}\"}}"));
    fixture::plan(root.path(), &[(0, "nan"), (1, "inf"), (2, "0.1")].map(planned));
    let table = write(root.path(), &quick()).unwrap().table;
    assert!(["lr=0.1", "lr=inf", "lr=nan"].iter().all(|name| table.lines().any(|line| line.contains(name) && line.contains("  1  "))), "{table}");
}

#[test]
fn a_key_that_is_not_asked_for_is_not_averaged_over() {
    let (_root, table) = of_three_keys("columns = 'lr'\n");
    assert!(table.contains("\n| FCN, size=64 | ") && table.contains("\n| CNN, size=128 | "), "{table}");
    let (_root, table) = of_three_keys("columns = 'model'\n");
    assert!(table.starts_with("| size | lr | FCN\n") && table.lines().count() == 2 + 4, "{table}");
    let (_root, table) = of_three_keys("columns = []\n");
    assert_eq!(table.lines().count(), 2 + 8, "{table}");
}

#[test]
fn the_interval_of_the_mean_stands_behind_it_where_asked_for() {
    let fixture = table_1();
    let experiment = fixture.experiment.replace("[report]\n", "[report]\nspread = \"interval\"\n");
    let (_root, dir, report) = report(&Fixture { experiment, ..fixture });
    let csv = fs::read_to_string(dir.join("report/table.csv")).unwrap();
    let fields: Vec<&str> = csv.lines().find(|line| line.starts_with("R,FCN")).unwrap().split(',').collect();
    let (deviation, interval) = (fields[5].parse::<f64>().unwrap(), fields[6].parse::<f64>().unwrap());
    // scipy.stats.t.ppf(0.975, 2) / 3 ** 0.5
    assert!((interval / deviation - 2.4841377117503214).abs() < 1e-6, "{csv}");
    assert!(report.table.contains(&format!(" ± {interval:.2}")) && report.table.contains("95 % interval"), "{}", report.table);
}

#[test]
fn a_mean_that_a_paired_test_cannot_tell_from_the_best_is_marked() {
    let root = tempfile::tempdir().unwrap();
    Fixture { models: ["A", "B", "C"].map(str::to_string).to_vec(), plain: 3, seeds: 3, experiment: String::new(), ..Fixture::quickstart() }.write(root.path());
    for (m, errors) in [[2.0, 2.1, 2.2], [2.1, 2.0, 2.4], [3.0, 3.1, 3.21]].into_iter().enumerate() {
        for (seed, error) in errors.into_iter().enumerate() {
            let folder = fixture::trial(root.path(), 0, m, seed as i64);
            fixture::save(&folder.join("facts.parquet"), &mut fixture::facts(&folder, "R", seed as i64, 399_000, error, 20.0, false));
        }
    }
    let report = write(root.path(), &quick()).unwrap();
    assert!(report.table.contains(" 2.10 ± 0.10* ") && report.table.contains(" 2.17 ± 0.21† ") && report.table.contains(" 3.10 ± 0.11 "), "{}", report.table);
    let markdown = fs::read_to_string(root.path().join("report/table.md")).unwrap();
    assert!(markdown.contains("| **2.10 ± 0.10** |") && markdown.contains("(p > 0.05)"), "{markdown}");
}

#[test]
fn a_key_that_nothing_is_swept_over_is_a_mistake_with_what_could_be_meant() {
    let faults = |report: &str| {
        let text = format!("[sweep.grid]\nmodel = ['a', 'b']\n'train.lr' = [0.1, 0.2]\n[report]\n{report}");
        stn_report::check(&text.parse().unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(faults("rows = 'model'\ncolumns = ['lr']\nspread = 'interval'"), "");
    let two = "[sweep.grid]\n'a.size' = [1, 2]\n'b.size' = [1, 2]\n[report]\nrows = 'size'".parse().unwrap();
    assert_eq!(stn_report::check(&two)[0].to_string(), "`report.rows`: `size` may be a.size or b.size; write the whole key");
    insta::assert_snapshot!(faults("rows = 'modle'\ncolumns = ['lr', 'seed']\nspread = 'sigma'"));
    insta::assert_snapshot!(faults("rows = 3\ncolumns = ['lr', 1]\nspread = 2"));
}

#[test]
fn one_model_one_seed_and_no_transformer_is_enough() {
    let fixture = Fixture { models: vec!["a <b> & \"c\"".into()], seeds: 1, plain: 1, experiment: String::new(), ..Fixture::quickstart() };
    let (_root, dir, report) = report(&fixture);
    assert!(names(&report).iter().all(|name| !name.starts_with("montage")), "{:?}", report.files);
    let svg = fs::read_to_string(dir.join("report/learning_curves.svg")).unwrap();
    assert!(svg.contains("a &lt;b&gt; &amp; &quot;c&quot;"), "escaped");
}

#[test]
fn errors_that_are_not_numbers_leave_a_gap_and_a_report() {
    let root = tempfile::tempdir().unwrap();
    Fixture { models: vec!["CNN".into()], plain: 1, seeds: 1, ..Fixture::quickstart() }.write(root.path());
    let folder = fixture::trial(root.path(), 0, 0, 0);
    let mut frame =
        polars::df!("step" => [1i64, 2, 3], "split" => ["test"; 3], "loss" => [0.0; 3], "error" => [50.0, f64::NAN, 0.0], "lr" => [0.1; 3]).unwrap();
    fixture::save(&folder.join("metrics.parquet"), &mut frame);
    write(root.path(), &quick()).unwrap();
    let csv = fs::read_to_string(root.path().join("report/learning_curves.csv")).unwrap();
    assert!(csv.contains("R,CNN,test,2,,NaN,NaN,NaN"), "{csv}");
}

#[test]
fn a_mistake_in_the_report_table_is_an_error_before_anything_is_written() {
    let root = tempfile::tempdir().unwrap();
    Fixture { experiment: "[report]\nbaselin = \"CNN\"\n".into(), ..Fixture::quickstart() }.write(root.path());
    let error = write(root.path(), &quick()).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "experiment.toml:\n`report.baselin`: unknown key `baselin`; did you mean `baseline`? (known: baseline, columns, figures, formats, published, rows, spread, style)"
        ),
        "{error}"
    );
    assert!(!root.path().join("report").exists());
}

/// The figures stay in the folder `look` of the temporary files under `target`.
#[test]
fn sweeps_of_every_shape_are_drawn() {
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
        let _ = fs::remove_dir_all(&dir);
        fixture.write(&dir);
        let files = write(&dir, &Options::default()).unwrap().files;
        assert!(files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "png")).count() >= 3, "{name}: {files:?}");
    }
}

#[test]
fn the_montage_shows_every_step_of_a_transformer_and_as_many_blocks_as_fit() {
    let (_root, dir, _) = report(&Fixture { steps: 4, seeds: 1, ..Fixture::quickstart() });
    let svg = fs::read_to_string(dir.join("report/montage_R.svg")).unwrap();
    assert_eq!(svg.matches("step 3").count(), 3);
    assert!(svg.contains("Lighter outlines: earlier steps."));
    let csv = fs::read_to_string(dir.join("report/montage_R.csv")).unwrap();
    assert!(csv.starts_with("model,trial,layer,step,sample,class,predicted,theta\n"));
    let (_root, dir, _) = report(&Fixture { steps: 10, seeds: 1, ..Fixture::quickstart() });
    let svg = fs::read_to_string(dir.join("report/montage_R.svg")).unwrap();
    assert!(svg.contains("Not shown: 2 more transformers."));
}

#[test]
fn warps_of_a_transformer_that_is_applied_once_need_no_steps() {
    let (_root, dir, _) = report(&Fixture { seeds: 1, ..Fixture::quickstart() });
    let before = fs::read(dir.join("report/montage_R.svg")).unwrap();
    for trial in fs::read_dir(dir.join("trials")).unwrap() {
        let path = trial.unwrap().path().join("warps.parquet");
        if path.is_file() {
            let frame = ParquetReader::new(fs::File::open(&path).unwrap()).finish().unwrap();
            fixture::save(&path, &mut frame.drop("step").unwrap());
        }
    }
    write(&dir, &quick()).unwrap();
    assert!(fs::read(dir.join("report/montage_R.svg")).unwrap() == before);
}
