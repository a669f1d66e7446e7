//! The figures of made-up results: which are drawn, from what, in which formats and widths, and that nothing is cut off or covered.

mod fixture;
mod misread;
mod recorded;

use fixture::Fixture;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use stn_report::{Error, Format, Options, write};
use ttf_parser::Face;

fn options(style: Option<&str>, dir: &Path) -> Options {
    let file = style.map(|style| {
        let file = dir.join("journal.toml");
        fs::create_dir_all(dir).unwrap();
        fs::write(&file, style).unwrap();
        file
    });
    Options { style: file, formats: Some(vec![Format::Svg]), ..Options::default() }
}

/// The quickstart with everything recorded; parallel transformers, so that every figure but those of volumes and of sweeps has something to show.
fn recorded(dir: &Path, fixture: Fixture) {
    fixture.write(dir);
    recorded::add(dir, &fixture);
}

fn whole() -> Fixture {
    Fixture { layers: 2, seeds: 3, ..Fixture::quickstart() }
}

/// Files of a report by their names.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir.join("report")).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())).collect()
}

/// The figures of a report: what has a CSV beside it.
fn figures(dir: &Path) -> Vec<String> {
    let names = files(dir).into_keys().filter_map(|name| name.strip_suffix(".csv").map(str::to_string));
    names.filter(|name| name != "table").collect()
}

fn csv(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(format!("report/{name}.csv"))).unwrap()
}

fn svg(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(format!("report/{name}.svg"))).unwrap()
}

/// Two models by two sizes of batch by four rates of learning, three seeds each.
fn swept(dir: &Path, lr: impl Fn(i64) -> String) {
    Fixture { models: ["CNN", "ST"].map(str::to_string).to_vec(), plain: 2, seeds: 24, experiment: String::new(), ..Fixture::quickstart() }.write(dir);
    let planned = |i: i64| {
        let (m, draw, batch) = (i / 24, i / 3 % 4, ["32", "64"][(i / 12 % 2) as usize]);
        let differs = format!("{{\"train.lr\":\"{}\",\"train.batch\":\"{batch}\",\"train.schedule\":\"cosine\"}}", lr(draw));
        (format!("0{m}{:02}", i % 24), ["cnn", "st"][m as usize].to_owned(), ["CNN", "ST"][m as usize].to_owned(), i % 3, differs)
    };
    fixture::plan(dir, &(0..48).map(planned).collect::<Vec<_>>());
}

#[test]
fn every_figure_that_says_something_is_drawn_in_every_format_and_the_same_again() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path(), whole());
    write(root.path(), &Options::default()).unwrap();
    let first = files(root.path());
    let expected =
        ["comparison", "confusion_R", "cost_step_time", "learning_curves", "montage_R", "seeds", "straightening_R", "theta_R", "windows_R", "worst_R"];
    assert_eq!(figures(root.path()), expected);
    for name in expected {
        let formats: &[&str] = if name == "straightening_R" { &["gif"] } else { &["pdf", "png", "svg"] };
        assert!(formats.iter().all(|format| first.contains_key(&format!("{name}.{format}"))), "{name}");
    }
    write(root.path(), &Options::default()).unwrap();
    assert!(files(root.path()) == first, "not the same again");
}

#[test]
fn the_figures_asked_for_are_drawn_and_no_other() {
    let root = tempfile::tempdir().unwrap();
    let experiment = "[report]\nfigures = [\"seeds\", \"cost\", \"worst\", \"volumes\"]\nformats = [\"pdf\"]\n".to_string();
    recorded(root.path(), Fixture { experiment, seeds: 2, ..whole() });
    write(root.path(), &Options::default()).unwrap();
    assert_eq!(figures(root.path()), ["cost_parameters", "cost_step_time", "seeds", "worst_R"], "two seeds are enough where boxes are asked for");
    assert!(files(root.path()).keys().all(|name| !name.ends_with(".svg") && !name.ends_with(".png")));
    write(root.path(), &Options { formats: Some(vec![Format::Svg]), ..Options::default() }).unwrap();
    assert!(files(root.path()).keys().all(|name| !name.ends_with(".pdf")), "what is typed goes before what the file says");
    assert!(svg(root.path(), "seeds").starts_with("<svg"));
}

#[test]
fn a_style_file_sets_width_type_and_colours() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path(), whole());
    let style = "columns = 1\ncolumn_width_mm = 86\nfont_size_pt = 8\npalette = [\"#123456\"]\n";
    write(root.path(), &options(Some(style), root.path())).unwrap();
    let figure = svg(root.path(), "learning_curves");
    assert!(figure.contains("width=\"86mm\"") && figure.contains("#123456") && !figure.contains("#0072B2"), "{}", &figure[..300]);
    // 8 points are 2.82 mm of 100 units.
    assert!(figure.contains("font-size=\"282"), "ticks are of the size asked for");
    let mistake = write(root.path(), &options(Some("width = 3\n"), root.path())).unwrap_err();
    assert!(matches!(&mistake, Error::Settings { path, .. } if path.ends_with("journal.toml")), "{mistake}");
}

#[test]
fn trials_from_before_there_were_recordings_have_the_figures_of_then() {
    let root = tempfile::tempdir().unwrap();
    Fixture { seeds: 2, ..Fixture::quickstart() }.write(root.path());
    write(root.path(), &options(None, root.path())).unwrap();
    assert_eq!(figures(root.path()), ["comparison", "cost_step_time", "learning_curves", "montage_R"]);
}

#[test]
fn the_montage_shows_the_end_of_the_training_alone() {
    let [before, after] = [false, true].map(|moments| {
        let root = tempfile::tempdir().unwrap();
        let fixture = Fixture { seeds: 1, ..Fixture::quickstart() };
        fixture.write(root.path());
        if moments {
            recorded::add(root.path(), &fixture);
        }
        write(root.path(), &options(None, root.path())).unwrap();
        svg(root.path(), "montage_R")
    });
    assert!(before == after);
}

#[test]
fn a_number_that_is_swept_in_a_grid_has_lines_and_one_that_is_drawn_has_points() {
    let root = tempfile::tempdir().unwrap();
    swept(root.path(), |draw| ["0.0001", "0.001", "0.01", "0.1"][draw as usize].into());
    write(root.path(), &options(None, root.path())).unwrap();
    assert!(["error_against_batch", "error_against_lr"].iter().all(|name| figures(root.path()).contains(&name.to_string())));
    let lr = csv(root.path(), "error_against_lr");
    assert!(lr.starts_with("distortion,model,lr,n,test_error_percent,standard_deviation,interval_95\nR,\"CNN, batch=32, schedule=cosine\",1e-4,3,"), "{lr}");
    let figure = svg(root.path(), "error_against_lr");
    assert!([">\n1e-4\n<", ">\n0.01\n<", "± standard deviation over seeds"].iter().all(|text| figure.contains(text)));
    swept(root.path(), |draw| (0.0001 * 1.234567 * (draw as f64 + 1.0)).to_string());
    fs::write(root.path().join("experiment.toml"), "[report]\nspread = \"interval\"\n").unwrap();
    write(root.path(), &options(None, root.path())).unwrap();
    assert!(svg(root.path(), "error_against_batch").contains("95 % interval of the mean over seeds"));
}

#[test]
fn a_value_that_is_no_number_makes_a_key_no_axis() {
    let root = tempfile::tempdir().unwrap();
    swept(root.path(), |draw| ["0.1", "auto", "0.2", "inf"][draw as usize].into());
    write(root.path(), &options(None, root.path())).unwrap();
    let drawn = figures(root.path());
    assert!(drawn.contains(&"error_against_batch".to_string()) && !drawn.iter().any(|name| name.contains("lr")), "{drawn:?}");
}

#[test]
fn the_pareto_front_goes_through_those_that_none_beats() {
    let root = tempfile::tempdir().unwrap();
    Fixture { seeds: 1, ..Fixture::quickstart() }.write(root.path());
    for (m, (error, step_ms)) in [(9.0, 10.0), (5.0, 20.0), (6.0, 25.0), (5.0, 30.0), (2.0, 40.0)].into_iter().enumerate() {
        let folder = fixture::trial(root.path(), 0, m, 0);
        fixture::save(&folder.join("facts.parquet"), &mut fixture::facts(&folder, "R", 0, 1000 + 100 * m as i64, error, step_ms, false));
    }
    write(root.path(), &options(None, root.path())).unwrap();
    let front = |name: &str| csv(root.path(), name).lines().skip(1).map(|line| line.ends_with("true")).collect::<Vec<_>>();
    assert_eq!(front("cost_step_time"), [true, true, false, false, true]);
    assert_eq!(front("cost_parameters"), [true, true, false, false, true]);
}

#[test]
fn a_confusion_matrix_adds_the_seeds_up() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path(), whole());
    write(root.path(), &options(None, root.path())).unwrap();
    let text = csv(root.path(), "confusion_R");
    assert!(text.contains("\nCNN,0,0,273,91\nCNN,0,1,27,9\n") && text.contains("\nFCN,3,-1,3,"), "{text}");
    assert!(svg(root.path(), "confusion_R").contains("3 seeds together."));
}

#[test]
fn one_class_is_no_confusion_and_two_hundred_are() {
    let root = tempfile::tempdir().unwrap();
    let fixture = Fixture { models: vec!["CNN".into()], plain: 1, seeds: 1, ..Fixture::quickstart() };
    fixture.write(root.path());
    let folder = fixture::trial(root.path(), 0, 0, 0);
    recorded::confusion(&folder, 1, 0);
    write(root.path(), &options(None, root.path())).unwrap();
    assert!(!figures(root.path()).contains(&"confusion_R".into()));
    recorded::confusion(&folder, 200, 0);
    for style in [None, Some("columns = 1\n")] {
        write(root.path(), &options(style, root.path())).unwrap();
        check_texts(root.path(), "confusion_R");
    }
}

#[test]
fn volumes_are_seen_from_three_sides_and_in_slices() {
    let root = tempfile::tempdir().unwrap();
    Fixture { models: vec!["ST".into()], plain: 0, seeds: 1, ..Fixture::quickstart() }.write(root.path());
    recorded::volumes(&fixture::trial(root.path(), 0, 0, 0));
    write(root.path(), &options(None, root.path())).unwrap();
    let figure = svg(root.path(), "volumes_R");
    assert_eq!(figure.matches("<image").count(), 10 * 9);
    assert!(["front", "above", "side", "slice ½"].iter().all(|word| figure.contains(word)));
    check_texts(root.path(), "volumes_R");
}

#[test]
fn the_worst_stand_in_order_with_what_they_were_read_as_and_their_losses() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path(), Fixture { layers: 1, ..whole() });
    write(root.path(), &options(None, root.path())).unwrap();
    let text = csv(root.path(), "worst_R");
    assert!(text.starts_with("model,trial,layer,step,sample,classes,predictions,loss,theta\nST-CNN affine,0200,layers.0.st,1,10,0 1,10 7,12.5,"), "{text}");
    assert_eq!(text.lines().count(), 1 + 3 * 10);
    let figure = svg(root.path(), "worst_R");
    assert!([">\n12.5\n<", ">\n10 7\n<", ">\n9.50\n<", "Of several labels"].iter().all(|word| figure.contains(word)));
    assert_eq!(figure.matches("<image").count(), 3 * 10 * 3);
    fs::write(fixture::trial(root.path(), 0, 2, 0).join("worst.parquet"), "x").unwrap();
    let error = write(root.path(), &options(None, root.path())).unwrap_err();
    let Error::Unreadable { files, report: Some(_) } = &error else { panic!("{error}") };
    assert!(files.len() == 1 && files[0].path.ends_with("worst.parquet"), "{error}");
    assert_eq!(csv(root.path(), "worst_R").lines().count(), 1 + 2 * 10, "the others are drawn");
}

#[test]
fn the_animation_of_volumes_shows_them_from_three_sides() {
    let root = tempfile::tempdir().unwrap();
    Fixture { models: vec!["ST".into()], plain: 0, seeds: 1, ..Fixture::quickstart() }.write(root.path());
    let folder = fixture::trial(root.path(), 0, 0, 0);
    recorded::volumes(&folder);
    write(root.path(), &options(None, root.path())).unwrap();
    assert!(!figures(root.path()).contains(&"straightening_R".into()), "there is the end alone");
    recorded::moments(&folder);
    write(root.path(), &options(None, root.path())).unwrap();
    let of_images = csv(root.path(), "straightening_R").lines().skip(1).count();
    assert_eq!(of_images, 3 * recorded::MOMENTS.len(), "three volumes, each once a moment");
}

#[test]
fn the_animation_shows_every_moment_and_pauses_at_the_end() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path(), Fixture { layers: 1, seeds: 1, ..whole() });
    write(root.path(), &options(None, root.path())).unwrap();
    let bytes = fs::read(root.path().join("report/straightening_R.gif")).unwrap();
    let mut decoder = gif::DecodeOptions::new().read_info(bytes.as_slice()).unwrap();
    let mut delays = Vec::new();
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        delays.push(frame.delay);
    }
    assert_eq!(delays, [80, 80, 80, 300]);
    assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
    let steps: BTreeSet<String> = csv(root.path(), "straightening_R").lines().skip(1).filter_map(|line| line.split(',').nth(4).map(str::to_string)).collect();
    assert_eq!(steps.len(), recorded::MOMENTS.len());
}

#[test]
fn damaged_recordings_are_named_and_all_else_is_drawn() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path(), whole());
    let folder = fixture::trial(root.path(), 0, 2, 0);
    for name in ["confusion.parquet", "thetas.parquet"] {
        fs::write(folder.join(name), "x").unwrap();
    }
    let error = write(root.path(), &options(None, root.path())).unwrap_err();
    let Error::Unreadable { files, report: Some(_) } = &error else { panic!("{error}") };
    let named: Vec<String> = files.iter().map(|file| file.path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(named, ["confusion.parquet", "thetas.parquet"]);
    assert!(figures(root.path()).contains(&"theta_R".into()));
}

/// The figures stay in the folder `figures` of the temporary files under `target`.
#[test]
fn no_text_leaves_its_sheet_or_covers_another_in_one_column_or_two() {
    let long = |i: usize| format!("st_cnn_{i}_projective with a very long name that says everything");
    let crowd = Fixture { models: (0..40).map(long).collect(), plain: 38, seeds: 1, experiment: String::new(), ..Fixture::quickstart() };
    let four = Fixture { distortions: vec!["E", "R", "RTS", "a distortion of one's own, with much to say"], ..whole() };
    let alone = Fixture { models: vec!["CNN".into()], plain: 1, seeds: 1, synthetic: true, ..Fixture::quickstart() };
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("figures");
    let _ = fs::remove_dir_all(&root);
    for (name, fixture) in [("quickstart", whole()), ("four", four), ("crowd", crowd), ("alone", alone)] {
        recorded(&root.join(name), fixture);
    }
    swept(&root.join("swept"), |draw| (0.0001 * 1.234567 * (draw as f64 + 1.0)).to_string());
    let mut wrong = Vec::new();
    for name in ["quickstart", "four", "crowd", "alone", "swept"] {
        let dir = root.join(name);
        for style in [None, Some("columns = 1\n"), Some("columns = 1\nfont_size_pt = 9\n")] {
            write(&dir, &options(style, &dir)).unwrap();
            let drawn = figures(&dir).into_iter().filter(|figure| !figure.starts_with("straightening"));
            wrong.extend(drawn.flat_map(|figure| misplaced(&dir, &figure).into_iter().map(move |what| format!("{style:?}: {what}"))));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Words on a sheet with the box they fill: left, top, right, bottom.
type Word = (String, [f64; 4]);

fn check_texts(dir: &Path, figure: &str) {
    assert_eq!(misplaced(dir, figure), [""; 0]);
}

/// Texts of a figure that do not lie on its sheet, or lie on another.
fn misplaced(dir: &Path, figure: &str) -> Vec<String> {
    let svg = svg(dir, figure);
    let view = svg.split_once("viewBox=\"0 0 ").unwrap().1.split_once('"').unwrap().0;
    let (width, height) = view.split_once(' ').map(|(w, h)| (w.parse::<f64>().unwrap(), h.parse::<f64>().unwrap())).unwrap();
    let words = words(&svg);
    assert!(!words.is_empty(), "{figure} says nothing");
    let mut wrong = Vec::new();
    for (i, (word, [left, top, right, bottom])) in words.iter().enumerate() {
        if *left < 0.0 || *top < 0.0 || *right > width || *bottom > height {
            wrong.push(format!("{figure} in {}: {word:?} leaves the sheet", dir.display()));
        }
        for (other, [l, t, r, b]) in &words[i + 1..] {
            let (across, down) = (right.min(*r) - left.max(*l), bottom.min(*b) - top.max(*t));
            if across > 8.0 && down > 8.0 {
                wrong.push(format!("{figure} in {}: {word:?} and {other:?} cover each other", dir.display()));
            }
        }
    }
    wrong
}

fn words(svg: &str) -> Vec<Word> {
    let faces = [&include_bytes!("../fonts/DejaVuSans.subset.ttf")[..], include_bytes!("../fonts/DejaVuSans-Bold.subset.ttf")]
        .map(|font| Face::parse(font, 0).unwrap());
    let mut words = Vec::new();
    for text in svg.split("<text ").skip(1) {
        let (attributes, rest) = text.split_once('>').unwrap();
        let word = rest
            .split_once("</text>")
            .unwrap()
            .0
            .trim()
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&apos;", "'")
            .replace("&amp;", "&");
        let attribute = |name: &str| attributes.split_once(&format!("{name}=\"")).map(|(_, rest)| rest.split_once('"').unwrap().0);
        let number = |name: &str| attribute(name).unwrap().parse::<f64>().unwrap();
        let (x, y, em) = (number("x"), number("y"), number("font-size"));
        let face = &faces[usize::from(attributes.contains("bold"))];
        let advance = |c| f64::from(face.glyph_hor_advance(face.glyph_index(c).unwrap_or_default()).unwrap_or(0));
        let length = word.chars().map(advance).sum::<f64>() / f64::from(face.units_per_em()) * em;
        let back = length
            * match attribute("text-anchor") {
                Some("middle") => 0.5,
                Some("end") => 1.0,
                _ => 0.0,
            };
        // The baseline lies 0.76 em from the point given, and capitals are 0.73 em high.
        let place = if attribute("transform").is_some() {
            [x + 0.03 * em, y + back - length, x + 0.76 * em, y + back]
        } else {
            [x - back, y + 0.03 * em, x - back + length, y + 0.76 * em]
        };
        words.push((word, place));
    }
    words
}
