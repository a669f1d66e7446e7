//! Shapes of every layer, and what is said where one does not fit.

mod networks;

use networks::{listed, plan};

const IMAGE: [usize; 3] = [1, 28, 28];

fn lines(layers: &str, input: &[usize]) -> Vec<(String, String, usize)> {
    let plan = plan(&format!("layers = [{layers}]"), input, 10).unwrap_or_else(|faults| panic!("{}", listed(&faults).join("\n")));
    plan.describe().into_iter().map(|line| (line.name, line.output, line.parameters)).collect()
}

fn faults(layers: &str, input: &[usize]) -> Vec<String> {
    listed(&plan(&format!("layers = [{layers}]"), input, 10).unwrap_err())
}

fn owned(lines: &[(&str, &str, usize)]) -> Vec<(String, String, usize)> {
    lines.iter().map(|(name, output, parameters)| ((*name).into(), (*output).into(), *parameters)).collect()
}

#[test]
fn shapes_follow_layer_by_layer_and_the_first_fc_flattens() {
    let expected = [
        ("conv1", "4 x 24 x 26", 4 * 5 * 3 + 4),
        ("max1", "4 x 12 x 13", 0),
        ("relu1", "4 x 12 x 13", 0),
        ("conv2", "6 x 6 x 7", 6 * 4 * 9 + 6),
        ("avg1", "6 x 3 x 4", 0),
        ("dropout1", "6 x 3 x 4", 0),
        ("fc1", "7", 6 * 3 * 4 * 7 + 7),
        ("relu2", "7", 0),
        ("fc2", "10", 80),
        ("softmax1", "10", 0),
    ];
    let layers = "{ conv = [4, [5, 3]] }, { max = 2 }, 'relu', { conv = [6, 3, 2, 1] }, { avg = { kernel = 2, rounding = 'up' } },
        { dropout = 0.5 }, { fc = 7 }, 'relu', { fc = 'classes' }, 'softmax'";
    assert_eq!(lines(layers, &IMAGE), owned(&expected));
}

#[test]
fn a_transformer_keeps_the_size_or_gives_another() {
    let st = |output: &str| {
        format!(
            "{{ st = {{ transform = 'affine', {output} localiser = [{{ avg = 2 }}, {{ conv = [4, 5] }}, 'relu', {{ fc = 8 }}, 'relu'] }} }}, {{ fc = 'classes' }}"
        )
    };
    let expected = [
        ("st1.localiser.avg1", "1 x 14 x 14", 0),
        ("st1.localiser.conv1", "4 x 10 x 10", 104),
        ("st1.localiser.relu1", "4 x 10 x 10", 0),
        ("st1.localiser.fc1", "8", 3208),
        ("st1.localiser.relu2", "8", 0),
        ("st1.localiser.theta", "6", 54),
        ("st1", "1 x 28 x 28", 0),
        ("fc1", "10", 7850),
    ];
    assert_eq!(lines(&st(""), &IMAGE), owned(&expected));
    let smaller = lines(&st("output = [10, 12],"), &IMAGE);
    assert_eq!(smaller[6..], owned(&[("st1", "1 x 10 x 12", 0), ("fc1", "10", 1210)]));
}

#[test]
fn a_localiser_that_ends_in_theta_gets_no_other() {
    let theta = |localiser: &str| {
        lines(&format!("{{ st = {{ transform = 'affine', localiser = [{localiser}] }} }}, {{ fc = 'classes' }}"), &IMAGE)
            .into_iter()
            .map(|line| line.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(theta("{ fc = 6 }"), ["st1.localiser.theta", "st1", "fc1"]);
    assert_eq!(theta("{ fc = 5 }"), ["st1.localiser.fc1", "st1.localiser.theta", "st1", "fc1"]);
    assert_eq!(theta("{ fc = 6 }, 'relu'"), ["st1.localiser.fc1", "st1.localiser.relu1", "st1.localiser.theta", "st1", "fc1"]);
}

#[test]
fn parallel_transformers_join_their_channels() {
    let layers = "{ parallel_st = { transformers = [{ transform = 'affine' }, { transform = 'attention', localiser = ['relu'] }], output = [14, 14],
        localiser = [{ avg = 4 }] } }, { fc = 'classes' }";
    let expected = [
        ("parallel_st1.localiser1.avg1", "2 x 7 x 7", 0),
        ("parallel_st1.localiser1.theta", "6", 594),
        ("parallel_st1.localiser2.relu1", "2 x 28 x 28", 0),
        ("parallel_st1.localiser2.theta", "3", 4707),
        ("parallel_st1", "4 x 14 x 14", 0),
        ("fc1", "10", 7850),
    ];
    assert_eq!(lines(layers, &[2, 28, 28]), owned(&expected));
}

#[test]
fn a_shared_localiser_predicts_every_theta() {
    let layers = "{ parallel_st = { count = 3, transform = 'attention', shared_localiser = [{ avg = 4 }] } }, { fc = 'classes' }";
    let expected = [
        ("parallel_st1.localiser.avg1", "1 x 7 x 7", 0),
        ("parallel_st1.localiser.theta", "9", 450),
        ("parallel_st1", "3 x 28 x 28", 0),
        ("fc1", "10", 3 * 784 * 10 + 10),
    ];
    assert_eq!(lines(layers, &IMAGE), owned(&expected));
}

#[test]
fn theta_is_fed_to_the_next_fc_and_no_further() {
    let layers = "{ st = { transform = 'affine', localiser = [{ avg = 4 }], feed_theta = true } }, { fc = 5 }, { fc = 'classes' }";
    assert_eq!(lines(layers, &IMAGE)[3..], owned(&[("fc1", "5", (784 + 6) * 5 + 5), ("fc2", "10", 60)]));
    assert_eq!(
        faults("{ fc = 'classes' }, { st = { transform = 'affine', localiser = ['relu'] } }", &IMAGE),
        ["`layers.1.st`: a spatial transformer takes an image, the input here is a vector of 10; put it in front of the first fc layer"]
    );
}

#[test]
fn layers_are_numbered_within_their_kind() {
    let layers = "{ conv = [2, 3] }, { conv = [2, 3] }, { st = { transform = 'affine', localiser = [{ fc = 2 }] } },
        { st = { transform = 'affine', localiser = [{ fc = 2 }] } }, { fc = 'classes' }";
    let names: Vec<_> = lines(layers, &IMAGE).into_iter().map(|line| line.0).collect();
    let expected = ["conv1", "conv2", "st1.localiser.fc1", "st1.localiser.theta", "st1", "st2.localiser.fc1", "st2.localiser.theta", "st2", "fc1"];
    assert_eq!(names, expected);
}

#[test]
fn a_kernel_that_does_not_fit_is_told_its_input() {
    let help = "use a smaller kernel, more padding, or rounding = \"up\" in the pooling before it";
    let paper = "{ conv = [32, 9] }, { max = 2 }, { conv = [32, 7] }, { fc = 'classes' }";
    assert_eq!(faults(paper, &[1, 21, 21]), [format!("`layers.2.conv`: conv kernel 7x7 does not fit an input of 32 x 6 x 6; {help}")]);
    assert_eq!(
        faults("{ max = { kernel = 5, padding = 2, stride = 1 } }, { fc = 'classes' }", &[3, 1, 0]),
        ["a network goes from images C x H x W to at least one class or to images, not from 3 x 1 x 0 to 10 classes"]
    );
    assert_eq!(
        faults("{ avg = [4, 2] }, { fc = 'classes' }", &[3, 2, 9]),
        [format!("`layers.0.avg`: avg kernel 4x2 does not fit an input of 3 x 2 x 9; {help}")]
    );
    assert_eq!(
        faults("{ conv = [4, 9, 1, 1] }, { fc = 'classes' }", &[3, 6, 9]),
        [format!("`layers.0.conv`: conv kernel 9x9 does not fit an input of 3 x 6 x 9 with padding 1x1; {help}")]
    );
}

#[test]
fn images_are_wanted_where_images_are_needed() {
    assert_eq!(
        faults("{ fc = 8 }, { conv = [2, 1] }, { fc = 'classes' }", &IMAGE),
        ["`layers.1.conv`: conv takes an image, the input here is a vector of 8; put it in front of the first fc layer"]
    );
    assert_eq!(
        faults("'softmax', { fc = 'classes' }", &IMAGE),
        ["`layers.0`: softmax takes a vector, the input here is 1 x 28 x 28; put it behind an fc layer"]
    );
    assert_eq!(
        faults("{ max = 2 }, { fc = 'classes' }", &[1, 8, 8, 8]),
        [
            "`layers.0.max`: max takes an image, the input here is a volume of 1 x 8 x 8 x 8; put { project = \"max\" } in front of it, which makes an image of a volume"
        ]
    );
}

#[test]
fn a_projection_takes_an_axis_from_a_volume() {
    let shape = |project: &str| lines(&format!("{{ project = {project} }}, {{ conv = [4, 3] }}, {{ fc = 'classes' }}"), &[2, 7, 8, 9])[0].clone();
    assert_eq!(shape("'max'"), ("project1".into(), "2 x 8 x 9".into(), 0));
    assert_eq!(shape("{ by = 'mean', along = 'height' }").1, "2 x 7 x 9");
    assert_eq!(shape("{ by = 'sum', along = 'width' }").1, "2 x 7 x 8");
    assert_eq!(
        faults("{ project = 'sum' }, { fc = 'classes' }", &IMAGE),
        ["`layers.0.project`: a projection takes a volume C x D x H x W, the input here is 1 x 28 x 28; leave it out: only a volume has an axis to spare"]
    );
}

#[test]
fn a_network_ends_in_one_number_a_class() {
    assert_eq!(
        faults("{ fc = 50 }, 'relu'", &IMAGE),
        ["`layers`: a network ends in 10 numbers, one a class, not in 50; end the list with { fc = \"classes\" }"]
    );
    assert_eq!(faults("'relu'", &IMAGE), ["`layers`: a network ends in 10 numbers, one a class, not in 1 x 28 x 28; end the list with { fc = \"classes\" }"]);
}

#[test]
fn unknown_plugins_are_told_the_nearest_name_at_the_name() {
    let found = faults(
        "{ conv = [2, 99] }, { st = { transform = 'afine', kernel = { kind = 'bilinaer' }, localiser = [{ st = { transform = { kind = 'tsp' }, localiser = ['relu'] } }] } }",
        &IMAGE,
    );
    let starts = [
        "`layers.1.st.transform`: unknown transformation `afine`; did you mean `affine`? (known: affine, affine3d,",
        "`layers.1.st.kernel.kind`: unknown sampling kernel `bilinaer`; did you mean `bilinear`? (known: bicubic, bilinear, integer)",
        "`layers.1.st.localiser.0.st.transform.kind`: unknown transformation `tsp`; did you mean `tps`?",
        "`layers.0.conv`: conv kernel 99x99 does not fit an input of 1 x 28 x 28",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (fault, start) in found.iter().zip(starts) {
        assert!(fault.starts_with(start), "{fault}");
    }
}

#[test]
fn a_plugins_parameters_are_told_below_its_key() {
    let found = faults("{ st = { transform = { kind = 'tps', pionts = 3 }, localiser = ['relu'] } }, { fc = 'classes' }", &IMAGE);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("`layers.0.st.transform.pionts`: unknown key `pionts`; did you mean `points`?"), "{}", found[0]);
}

#[test]
fn axes_of_transformation_output_and_input_agree() {
    let st = |keys: &str| format!("{{ st = {{ {keys}, localiser = ['relu'] }} }}, {{ fc = 'classes' }}");
    assert_eq!(
        faults(&st("transform = 'affine3d'"), &IMAGE),
        ["`layers.0.st.transform`: `affine3d` works on volumes (C x D x H x W), the input here is 1 x 28 x 28"]
    );
    assert_eq!(
        faults(&st("transform = 'affine'"), &[1, 8, 8, 8]),
        ["`layers.0.st.transform`: `affine` works on images (C x H x W), the input here is 1 x 8 x 8 x 8"]
    );
    assert_eq!(
        faults(&st("transform = 'affine', output = [4, 4, 4]"), &IMAGE),
        ["`layers.0.st.output`: an output of 4 x 4 x 4 does not fit an input of 1 x 28 x 28: it needs 2 sides"]
    );
}

#[test]
fn outputs_that_cannot_be_joined_are_told_so() {
    let layers = "{ parallel_st = { transformers = [{ transform = 'affine' }, { transform = 'affine', output = [14, 14] }], localiser = ['relu'] } }, { fc = 'classes' }";
    assert_eq!(
        faults(layers, &IMAGE),
        [
            "`layers.0.parallel_st.transformers.1.output`: an output of 14 x 14 cannot be joined to one of 28 x 28; give every transformer of one layer the same output"
        ]
    );
}

#[test]
fn a_mistake_in_a_localiser_does_not_hide_the_next_layer() {
    let found = faults("{ st = { transform = 'affine', localiser = [{ conv = [2, 30] }] } }, { conv = [2, 31] }, { fc = 'classes' }", &IMAGE);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("`layers.0.st.localiser.0.conv`: conv kernel 30x30"), "{}", found[0]);
    assert!(found[1].starts_with("`layers.1.conv`: conv kernel 31x31"), "{}", found[1]);
}

#[test]
fn one_localiser_written_for_all_is_wrong_once() {
    let layers = "{ parallel_st = { count = 3, transform = 'affine', localiser = [{ conv = [2, 30] }] } }, { fc = 'classes' }";
    assert_eq!(faults(layers, &IMAGE).len(), 1);
}

#[test]
fn a_network_that_no_machine_holds_is_refused() {
    let found = faults("{ conv = [1000000, 1, 1, 1000] }, { fc = 1000000 }, { fc = 'classes' }", &IMAGE);
    assert!(found[0].starts_with("`layers.0.conv`: this layer gives 1000000 x 2028 x 2028 for one image, more than 1073741824 numbers"), "{}", found[0]);
    assert!(found[1].starts_with("`layers.1.fc`: this layer has 4112784000001000000 parameters, more than 1073741824"), "{}", found[1]);
}

#[test]
fn automatic_widths_need_a_budget_and_a_budget_needs_them() {
    assert_eq!(
        faults("{ fc = 'auto' }, { fc = 'classes' }", &IMAGE),
        ["`layers.0.fc`: \"auto\" needs a budget; set `parameters` beside `layers`, for example parameters = 400000"]
    );
    let found = listed(&plan("parameters = 5000\nlayers = [{ fc = 'classes' }]", &IMAGE, 10).unwrap_err());
    assert_eq!(found, ["`parameters`: no width is \"auto\", so there is nothing to solve; remove `parameters`, or write \"auto\" for a width"]);
}

#[test]
fn a_budget_that_no_width_meets_is_told_the_nearest_below_and_above() {
    let layers = "layers = [{ fc = 'auto' }, { fc = 'classes' }]";
    let told = |parameters: usize| listed(&plan(&format!("parameters = {parameters}\n{layers}"), &IMAGE, 10).unwrap_err());
    let help = "change `parameters`, or the layers whose width is fixed, or set `tolerance` beside `parameters`, for example tolerance = 0.1";
    let expected = "`layers.0.fc`: no width brings this network within 2 % of 4400 parameters: a width of 5 gives 3985, a width of 6 gives 4780";
    assert_eq!(told(4400), [format!("{expected}; {help}")]);
    let expected = "`layers.0.fc`: no width brings this network within 2 % of 400 parameters: a width of 1 gives 805";
    assert_eq!(told(400), [format!("{expected}; {help}")]);
}

#[test]
fn a_tolerance_says_how_near_is_near_enough() {
    let text = |tolerance: f64| format!("parameters = 4400\ntolerance = {tolerance}\nlayers = [{{ fc = 'auto' }}, {{ fc = 'classes' }}]");
    assert_eq!(plan(&text(0.1), &IMAGE, 10).unwrap().parameters(), 4780);
    assert!(listed(&plan(&text(0.05), &IMAGE, 10).unwrap_err())[0].contains("within 5 % of 4400 parameters"));
    let exact = "parameters = 4780\ntolerance = 0\nlayers = [{ fc = 'auto' }, { fc = 'classes' }]";
    assert_eq!(plan(exact, &IMAGE, 10).unwrap().width(), Some(6));
}

#[test]
fn one_width_serves_every_auto() {
    let text = "parameters = 5000\ntolerance = 0.25\nlayers = [{ conv = ['auto', 3] }, { max = 4 }, { st = { transform = 'affine', localiser = [{ fc = 'auto' }] } }, { fc = 'auto' }, { fc = 'classes' }]";
    let plan = plan(text, &IMAGE, 10).unwrap();
    let w = plan.width().unwrap();
    let at = |w: usize| 10 * w + (36 * w * w + w) + (6 * w + 6) + (36 * w * w + w) + (10 * w + 10);
    assert_eq!(plan.parameters(), at(w));
    assert!(at(w).abs_diff(5000) <= at(w - 1).abs_diff(5000).min(at(w + 1).abs_diff(5000)));
}

#[test]
fn volumes_pass_through_three_dimensional_transformers() {
    let expected = [("st1.localiser.fc1", "4", 8 * 8 * 8 * 4 + 4), ("st1.localiser.theta", "12", 60), ("st1", "1 x 8 x 6 x 4", 0), ("fc1", "10", 1930)];
    let layers = "{ st = { transform = 'affine3d', output = [8, 6, 4], localiser = [{ fc = 4 }] } }, { fc = 'classes' }";
    assert_eq!(lines(layers, &[1, 8, 8, 8]), owned(&expected));
}
