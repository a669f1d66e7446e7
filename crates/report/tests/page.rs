//! The page of a report, looked at with a real browser.
#![cfg(unix)]

mod browser;
mod fixture;
mod misread;
mod sweep;

use browser::Browser;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use sweep::{HARM, Made, hostile, made, made_in, page, three_hundred};

/// The page of a sweep of three models on two distortions, made once; nobody would remove a temporary folder at the end.
static SWEEP: LazyLock<Made> = LazyLock::new(|| made_in(Path::new(env!("CARGO_TARGET_TMPDIR")).join("sweep"), sweep::sweep()));

fn open(width: u32) -> Option<Browser> {
    Browser::open(&page(&SWEEP), width)
}

/// Text of the cells of a column of a table's body, counted from 0.
fn column(browser: &mut Browser, table: &str, column: usize) -> Vec<String> {
    let cells = browser.value(&format!("[...document.querySelectorAll('#{table} tbody tr')].map((row) => row.cells[{column}].textContent)"));
    cells.as_array().unwrap().iter().map(|cell| cell.as_str().unwrap().to_string()).collect()
}

/// The numbers of the column of test errors that stand there.
fn errors(browser: &mut Browser) -> Vec<f64> {
    column(browser, "trials-table", 4).iter().filter_map(|text| text.parse().ok()).collect()
}

fn click(browser: &mut Browser, selector: &str) {
    browser.value(&format!("document.querySelector({selector:?}).click()"));
}

/// Sets a control as a user does, and says so to the page.
fn set(browser: &mut Browser, id: &str, value: &str) {
    browser.value(&format!(
        "(() => {{ const e = document.getElementById({id:?}); e.value = {value:?}; e.dispatchEvent(new Event('input', {{ bubbles: true }})); \
         e.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
    ));
}

fn lines(browser: &mut Browser) -> String {
    browser.text("[...document.querySelectorAll('#curves-panels path.line')].map((path) => path.getAttribute('d')).join('|')")
}

#[test]
fn the_page_names_no_address() {
    let html = std::fs::read_to_string(page(&SWEEP)).unwrap();
    for address in ["://", "src=\"/", "href=\"/", "url(//", "@import"] {
        assert!(!html.contains(address), "{address}");
    }
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn it_loads_without_a_complaint_and_asks_for_nothing() {
    let Some(mut browser) = open(1280) else { return };
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(browser.text("document.title"), "sweep: report");
    assert!(browser.text("document.querySelector('.count').textContent").starts_with("14 trials: 11 done, 1 diverged, 1 failed, 1 not finished"));
    let asked = browser.text("fetch('data.json').then(() => 'allowed', () => 'refused')");
    assert_eq!(asked, "refused", "the page's policy");
}

#[test]
fn tables_sort_by_a_column_both_ways_and_what_is_missing_stands_last() {
    let Some(mut browser) = open(1280) else { return };
    let heading = "#trials-table th:nth-child(5)";
    click(&mut browser, &format!("{heading} button"));
    let ascending = errors(&mut browser);
    assert!(ascending.len() == 11 && ascending.is_sorted(), "{ascending:?}");
    assert_eq!(browser.text(&format!("document.querySelector('{heading}').getAttribute('aria-sort')")), "ascending");
    assert_eq!(column(&mut browser, "trials-table", 4).last().unwrap(), "–");
    click(&mut browser, &format!("{heading} button"));
    let descending = errors(&mut browser);
    assert!(descending.iter().rev().is_sorted());
    assert_eq!(column(&mut browser, "trials-table", 4).last().unwrap(), "–");
    assert_eq!(browser.text("document.getElementById('announcement').textContent"), "Sorted by test error %, descending");
    click(&mut browser, "#results-table th:nth-child(2) button");
    let cells = column(&mut browser, "results-table", 1);
    let means: Vec<f64> = cells.iter().filter_map(|cell| cell.split(' ').next()?.trim_end_matches('†').parse().ok()).collect();
    assert!(means.len() == 3 && means.is_sorted(), "{cells:?}");
}

#[test]
fn text_and_swept_values_filter_tables_curves_and_pictures() {
    let Some(mut browser) = open(1280) else { return };
    set(&mut browser, "filter-text", "st-cnn seed=1");
    browser.wait("document.getElementById('filter-count').textContent !== ''");
    assert_eq!(browser.text("document.getElementById('filter-count').textContent"), "4 of 13 trials");
    assert_eq!(column(&mut browser, "trials-table", 1), ["ST-CNN affine", "ST-CNN projective", "ST-CNN affine", "ST-CNN projective"]);
    click(&mut browser, "#filter-clear");
    assert_eq!(column(&mut browser, "trials-table", 1).len(), 14);
    let all = lines(&mut browser);
    click(&mut browser, "#filter-keys input[data-key=model][value='CNN']");
    click(&mut browser, "#filter-keys input[data-key=distortion][value='R']");
    assert_eq!(column(&mut browser, "trials-table", 2), ["R", "R", "R"]);
    assert_eq!(column(&mut browser, "results-table", 0), ["CNN"]);
    assert!(lines(&mut browser).len() < all.len() / 2);
    assert!(browser.text("document.querySelector('#montage-table tbody').textContent").contains("leaves no model"));
}

#[test]
fn curves_are_drawn_and_follow_every_control() {
    let Some(mut browser) = open(1280) else { return };
    let before = lines(&mut browser);
    assert!(before.split('|').count() == 6 && before.split('|').all(|d| d.matches('L').count() >= 15), "{before}");
    let mut seen = vec![before];
    for (id, value) in [("curves-smoothing", "0.8"), ("curves-lines", "each")] {
        set(&mut browser, id, value);
        seen.push(lines(&mut browser));
    }
    for selector in ["#curves-log", "#curves-train", "#curves-legend input", "#trials-table tbody tr input"] {
        click(&mut browser, selector);
        seen.push(lines(&mut browser));
    }
    let distinct: std::collections::BTreeSet<&String> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len());
    // The model of the trial ticked is not among those drawn any more.
    assert_eq!(lines(&mut browser), "");
    click(&mut browser, "#trials-untick");
    assert!(!lines(&mut browser).is_empty());
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_pointer_and_the_arrow_keys_tell_step_error_and_trial() {
    let Some(mut browser) = open(1280) else { return };
    let told = "document.getElementById('curves-value').textContent";
    browser.point("#curves-panels svg", (0.98, 0.5));
    browser.wait(&format!("{told}.includes('1,200 steps')"));
    let pointed = browser.text(told);
    assert!(pointed.contains(" on R, mean of 2 seeds: after 1,200 steps ") && pointed.contains(" % on the test set, "), "{pointed}");
    assert_eq!(browser.text("document.querySelector('#curves-panels .mark').getAttribute('visibility')"), "visible");
    browser.value("document.querySelector('#curves-panels svg').focus()");
    browser.press("Home");
    browser.wait(&format!("{told}.includes('after 60 steps')"));
    browser.press("ArrowRight");
    browser.wait(&format!("{told}.includes('after 120 steps')"));
    let before = browser.text(told);
    browser.press(if before.starts_with("CNN") { "ArrowDown" } else { "ArrowUp" });
    browser.wait(&format!("{told} !== {before:?} && {told}.includes('after 120 steps')"));
    // Drawn anew in a narrower window, the panel keeps the focus.
    let width = "document.querySelector('#curves-panels svg').viewBox.baseVal.width";
    let wide = browser.text(width);
    browser.resize(600);
    browser.wait(&format!("{width} !== {wide}"));
    assert_eq!(browser.text("document.activeElement.getAttribute('role')"), "application");
}

#[test]
fn the_slider_shows_the_transformers_at_other_moments() {
    let Some(mut browser) = open(1280) else { return };
    let pictures = "[...document.querySelectorAll('#montage-table image')].map((image) => image.href.baseVal).join('|')";
    let grids = "[...document.querySelectorAll('#montage-table path.outline')].map((path) => path.getAttribute('d')).join('|')";
    let (end, grids_at_end) = (browser.text(pictures), browser.text(grids));
    assert!(end.starts_with("data:image/png;base64,"));
    assert!(grids_at_end.len() > 100);
    assert_eq!(browser.text("document.getElementById('montage-step').textContent"), "1,200");
    set(&mut browser, "montage-moment", "0");
    assert_eq!(browser.text("document.getElementById('montage-step').textContent"), "0");
    assert_eq!(browser.text("document.getElementById('montage-moment').getAttribute('aria-valuetext')"), "after 0 training steps");
    assert!(browser.text(pictures) != end && browser.text(grids) != grids_at_end);
    browser.value("document.getElementById('montage-moment').focus()");
    browser.press("End");
    assert_eq!(browser.text(pictures), end);
    set(&mut browser, "montage-distortion", "E");
    let rows = column(&mut browser, "montage-table", 0);
    assert_eq!(rows, ["ST-CNN affineinput and grid", "output", "ST-CNN projectiveinput and grid", "output"]);
    let first = browser.text("document.querySelector('#montage-table td svg').getAttribute('aria-label')");
    assert!(first.starts_with("class 0, image ") && first.ends_with(": input with the grid"), "{first}");
}

#[test]
fn the_play_button_goes_through_the_moments_once_and_stops() {
    let Some(mut browser) = open(1280) else { return };
    let (button, step) = ("document.getElementById('montage-play').textContent", "document.getElementById('montage-step').textContent");
    browser.value(
        "window.seen = []; new MutationObserver(() => window.seen.push(document.getElementById('montage-step').textContent))\
         .observe(document.getElementById('montage-step'), { childList: true })",
    );
    click(&mut browser, "#montage-play");
    assert_eq!((browser.text(button), browser.text(step)), ("Stop".into(), "0".into()), "from the end it begins anew");
    browser.wait(&format!("{button} === 'Play'"));
    assert_eq!(browser.text("window.seen.join(' ')"), "0 37 75 150 300 600 1,200");
    click(&mut browser, "#montage-play");
    browser.wait(&format!("{step} === '37'"));
    click(&mut browser, "#montage-play");
    assert_eq!((browser.text(button), browser.text(step)), ("Play".into(), "37".into()), "it stops where it is");
}

#[test]
fn the_worst_errors_are_shown_with_what_they_were_read_as() {
    let Some(mut browser) = open(1280) else { return };
    set(&mut browser, "montage-choice", "worst");
    let rows = column(&mut browser, "montage-table", 0);
    assert_eq!(rows[..3], ["ST-CNN affineinput and grid", "output", "class, read as"]);
    assert_eq!(column(&mut browser, "montage-table", 1)[2], "0 1 as 10 7loss 12.5");
    assert_eq!(browser.value("document.getElementById('montage-time').checkVisibility()"), json!(false), "there is the end alone");
    assert_eq!(browser.value("document.querySelectorAll('#montage-table tbody tr:first-child image').length"), json!(10));
    set(&mut browser, "montage-distortion", "E");
    assert!(browser.text("document.querySelector('#montage-table tbody').textContent").contains("no model"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// A4 with margins of 10 mm has 718 pixels across.
#[test]
fn in_print_nothing_is_cut_off_and_what_is_to_be_pressed_is_gone() {
    for file in [page(&SWEEP), page(&made(hostile()))] {
        let Some(mut browser) = Browser::open(&file, 718) else { return };
        browser.call("Emulation.setEmulatedMedia", json!({ "media": "print", "features": [{ "name": "prefers-color-scheme", "value": "dark" }] }));
        assert_eq!(browser.text("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)", "paper is white");
        let pressed = "[...document.querySelectorAll('button, input, select')].filter((e) => e.checkVisibility()).map((e) => e.outerHTML)";
        assert_eq!(browser.text(&format!("{pressed}.join(' | ')")), "");
        let cut = browser.text(
            "[...document.querySelectorAll('main *')].filter((e) => !e.closest('.hidden') && e.checkVisibility() && (e.getBoundingClientRect().right > 719 \
             || (e.matches('.scroll, td, th') && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'visible') \
             || (e.matches('.scroll') && e.scrollHeight > e.clientHeight + 1))).map((e) => e.outerHTML.slice(0, 80)).join(' | ')",
        );
        assert_eq!(cut, "");
        // A heading that sticks to the window is missing on the next sheet.
        let sticking =
            browser.text("[...document.querySelectorAll('th')].filter((th) => th.closest('thead') && getComputedStyle(th).position !== 'static').length");
        assert_eq!(sticking, "0");
        let sheets = browser.call("Page.printToPDF", json!({ "paperWidth": 8.27, "paperHeight": 11.69 }));
        assert!(sheets["data"].as_str().is_some_and(|pdf| pdf.len() > 10_000));
    }
}

#[test]
fn classes_taken_for_others_are_counted_over_the_seeds() {
    let Some(mut browser) = open(1280) else { return };
    let models = "[...document.getElementById('confusion-of').options].map((option) => option.textContent).join('; ')";
    assert_eq!(browser.text(models), "ST-CNN affine, on R; ST-CNN projective, on R; ST-CNN affine, on E; ST-CNN projective, on E");
    assert_eq!([1, 2, 3].map(|place| column(&mut browser, "confusion-table", place).join(" ")), ["80  ", "20 90 ", " 10 100"]);
    click(&mut browser, "#confusion-share");
    assert_eq!(column(&mut browser, "confusion-table", 1), ["80.0", "", ""]);
    set(&mut browser, "confusion-of", "3");
    assert!(browser.text("document.querySelector('#confusion-table caption').textContent").starts_with("ST-CNN projective on E, 1 seed:"));
}

#[test]
fn two_trials_are_compared_key_by_key() {
    let Some(mut browser) = open(1280) else { return };
    let keys = column(&mut browser, "configurations-table", 0);
    assert_eq!(keys, ["network.layers.0.fc", "network.layers.0.st.transform", "network.layers.1.fc"]);
    let count = "document.getElementById('configurations-count').textContent";
    assert_eq!(browser.text(count), "3 keys differ, 12 are the same.");
    assert_eq!(column(&mut browser, "configurations-table", 1), ["10", "not there", "not there"]);
    click(&mut browser, "#configurations-all");
    assert_eq!(column(&mut browser, "configurations-table", 0).len(), 15);
    let same = browser.text("document.getElementById('configurations-second').value");
    set(&mut browser, "configurations-first", &same);
    assert_eq!(browser.text(count), "Both are the same trial.");
}

#[test]
fn every_control_is_reached_with_the_keyboard_alone_and_shows_it() {
    let Some(mut browser) = open(1280) else { return };
    browser.value(
        "window.reachable = [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex]')]\
         .filter((e) => e.checkVisibility() && !e.disabled).length; window.reached = new Set()",
    );
    let reachable = browser.value("window.reachable").as_u64().unwrap();
    assert!(reachable > 60, "{reachable}");
    for _ in 0..reachable {
        browser.press("Tab");
        browser.value(
            "(() => { const e = document.activeElement; window.reached.add(e); \
             if (getComputedStyle(e).outlineStyle === 'none') throw new Error('no focus to be seen on ' + e.outerHTML.slice(0, 200)); })()",
        );
    }
    assert_eq!(browser.value("window.reached.size").as_u64(), Some(reachable), "elements passed by");
    // A heading sorts, and a box ticks, by keys.
    browser.value("document.querySelector('#trials-table th:nth-child(5) button').focus()");
    browser.press("Enter");
    assert_eq!(browser.text("document.querySelector('#trials-table th:nth-child(5)').getAttribute('aria-sort')"), "ascending");
    browser.value("document.querySelector('#filter-keys input').focus()");
    browser.press(" ");
    assert_ne!(browser.text("document.getElementById('filter-count').textContent"), "");
}

#[test]
fn everything_has_a_name_for_a_screen_reader() {
    let Some(mut browser) = open(1280) else { return };
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let nodes: Vec<(String, String)> = tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["ignored"] != true)
        .map(|node| (node["role"]["value"].as_str().unwrap_or_default().to_string(), node["name"]["value"].as_str().unwrap_or_default().trim().to_string()))
        .collect();
    let named =
        ["button", "checkbox", "combobox", "searchbox", "textbox", "slider", "link", "application", "region", "image", "img", "heading", "columnheader"];
    let nameless: Vec<_> = nodes.iter().filter(|(role, name)| named.contains(&role.as_str()) && name.is_empty()).collect();
    assert_eq!(nameless, Vec::<&(String, String)>::new());
    assert_eq!(browser.value("[...document.querySelectorAll('fieldset')].filter((set) => !set.querySelector('legend')?.textContent).length"), json!(0));
    for (role, least) in [("button", 12), ("checkbox", 20), ("combobox", 4), ("slider", 2), ("application", 2), ("table", 4), ("region", 5), ("link", 20)] {
        let found = nodes.iter().filter(|(other, _)| other == role).count();
        assert!(found >= least, "{found} of the role {role}");
    }
}

#[test]
fn nothing_is_wider_than_a_narrow_screen() {
    for file in [page(&SWEEP), page(&made(hostile()))] {
        let Some(mut browser) = Browser::open(&file, 380) else { return };
        assert_eq!(browser.value("innerWidth"), json!(380));
        assert!(browser.value("document.documentElement.scrollWidth").as_f64().unwrap() <= 380.0);
        let wide = browser.text(
            "[...document.querySelectorAll('main *')].filter((e) => !e.closest('.scroll') && !e.closest('.hidden') && e.getBoundingClientRect().right > 381)\
             .map((e) => e.outerHTML.slice(0, 80)).join(' | ')",
        );
        assert_eq!(wide, "");
    }
}

#[test]
fn text_stands_out_from_its_ground_in_the_light_and_in_the_dark() {
    let Some(mut browser) = open(1280) else { return };
    click(&mut browser, "#configurations-all");
    for scheme in ["light", "dark"] {
        browser.prefer("prefers-color-scheme", scheme);
        let faint = browser.text(include_str!("browser/contrast.js"));
        assert_eq!(faint, "", "{scheme}");
        let ground = browser.text("getComputedStyle(document.body).backgroundColor");
        assert_eq!(ground == "rgb(255, 255, 255)", scheme == "light", "{ground}");
    }
}

#[test]
fn names_with_markup_do_no_harm() {
    let Some(mut browser) = Browser::open(&page(&made(hostile())), 1280) else { return };
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_ne!(browser.text("document.title"), "harmed");
    assert_eq!(browser.text("String(window.harmed)"), "undefined");
    assert_eq!(browser.value("document.querySelectorAll('img, iframe, b').length"), json!(0));
    assert!(column(&mut browser, "trials-table", 1).contains(&HARM.to_string()));
    assert!(browser.text("document.getElementById('results').textContent").contains(HARM));
    assert!(browser.text("document.getElementById('environment').textContent").contains("<b>mnist</b>"));
}

#[test]
fn sweeps_with_little_in_them_still_have_a_page() {
    for (name, sweep) in [("one trial", sweep::one()), ("failed", sweep::failed()), ("from before", sweep::from_before()), ("volumes", sweep::volumes())] {
        let Some(mut browser) = Browser::open(&page(&made(sweep)), 800) else { return };
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{name}");
        let montage = browser.text("document.getElementById('montage').textContent");
        assert_eq!(montage.contains("None of these trials"), name == "one trial" || name == "failed", "{name}: {montage}");
        assert_eq!(lines(&mut browser).is_empty(), name == "failed", "{name}");
        let slider = browser.value("document.getElementById('montage-time').checkVisibility()");
        assert_eq!(slider, json!(name == "volumes"), "{name}");
    }
}

#[test]
fn three_hundred_trials_take_less_than_five_megabytes() {
    let made = made(three_hundred());
    let file: PathBuf = page(&made);
    let size = std::fs::metadata(&file).unwrap().len();
    assert!((1_000_000..5_000_000).contains(&size), "{size} bytes");
    let Some(mut browser) = Browser::open(&file, 1280) else { return };
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(column(&mut browser, "trials-table", 1).len(), 300);
    assert!(!lines(&mut browser).is_empty());
    let pictures = browser.value("document.querySelectorAll('#montage-table image').length").as_u64().unwrap();
    assert!(pictures > 100, "{pictures}");
}
