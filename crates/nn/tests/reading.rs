//! Layer lists as written, and what is said of the mistakes in them.

mod networks;

use networks::{listed, spec};

fn faults(layers: &str) -> Vec<String> {
    listed(&spec(&format!("layers = [{layers}]")).unwrap_err())
}

#[test]
fn short_and_long_forms_are_the_same_layer() {
    let lines = |layers: &str| {
        let plan = networks::plan(&format!("layers = [{layers}, {{ fc = 'classes' }}]"), &[1, 28, 28], 10).unwrap();
        plan.describe().into_iter().map(|line| (line.layer, line.output)).collect::<Vec<_>>()
    };
    for (short, long) in [
        ("{ conv = [4, 5] }", "{ conv = { filters = 4, kernel = 5, stride = 1, padding = 0 } }"),
        ("{ conv = [4, [5, 3], 2, [1, 0]] }", "{ conv = { filters = 4, kernel = [5, 3], stride = [2, 2], padding = [1, 0] } }"),
        ("{ max = 2 }", "{ max = { kernel = 2, stride = 2, padding = 0, rounding = 'down' } }"),
        ("{ avg = [2, 3] }", "{ avg = { kernel = [2, 3] } }"),
        ("{ fc = 7 }", "{ fc = { units = 7 } }"),
        ("{ dropout = 0.5 }", "{ dropout = { rate = 0.5, channels = false } }"),
    ] {
        assert_eq!(lines(short), lines(long));
    }
}

#[test]
fn a_spec_is_written_as_it_was_read() {
    let text = "layers = [{ conv = [4, 5] }, \"relu\", { fc = \"classes\" }]\n";
    let written = toml::to_string(&spec(text).unwrap()).unwrap();
    assert_eq!(spec(&written).unwrap(), spec(text).unwrap());
}

#[test]
fn a_model_needs_layers() {
    assert_eq!(listed(&spec("").unwrap_err()), ["a network needs `layers`; write for example layers = [{ fc = 32 }, \"relu\", { fc = \"classes\" }]"]);
    assert_eq!(faults(""), ["`layers`: this list has no layers"]);
    assert_eq!(listed(&spec("layers = 3").unwrap_err()), ["`layers`: expected an array of layers, found 3"]);
}

#[test]
fn keys_of_the_model_are_checked() {
    assert_eq!(
        listed(&spec("layers = ['relu']\nparametres = 3\ninit = 'kaiming'").unwrap_err()),
        [
            "`parametres`: unknown key `parametres`; did you mean `parameters`? (known: layers, parameters, tolerance, init, weights)",
            "`init`: unknown initialisation `kaiming`; did you mean `kaiming_normal`? (known: kaiming_normal, xavier_normal, pytorch)",
        ]
    );
    assert_eq!(listed(&spec("layers = ['relu']\nparameters = -4").unwrap_err()), ["`parameters`: expected an integer from 1 to 1073741824, found -4"]);
    let tolerance = |text: &str| listed(&spec(&format!("layers = ['relu']\n{text}")).unwrap_err());
    assert_eq!(tolerance("parameters = 4\ntolerance = 2"), ["`tolerance`: expected a fraction from 0 to 1, found 2"]);
    assert_eq!(tolerance("tolerance = 0.1"), ["`tolerance`: there is no budget to be near to; remove `tolerance`, or set `parameters` beside it"]);
}

#[test]
fn an_unknown_layer_is_told_the_nearest_name() {
    let known = "(known: conv, max, avg, project, fc, dropout, st, parallel_st, branches, batch_norm, relu, softmax)";
    assert_eq!(faults("'rellu'"), [format!("`layers.0`: unknown layer `rellu`; did you mean `relu`? {known}")]);
    assert_eq!(faults("'relu', { cnov = [3, 3] }"), [format!("`layers.1.cnov`: unknown layer `cnov`; did you mean `conv`? {known}")]);
}

#[test]
fn a_layer_is_a_name_or_a_table_with_one_key() {
    assert_eq!(faults("3"), ["`layers.0`: expected a layer: a name or a table with one key, found 3"]);
    assert_eq!(
        faults("{ conv = [3, 3], max = 2 }, {}"),
        [
            "`layers.0`: a layer is a table with one key, found `conv`, `max`; write { conv = [32, 9] }, { fc = 256 } ..., each in its own braces",
            "`layers.1`: a layer is a table with one key, found none; write { conv = [32, 9] }, { fc = 256 } ..., each in its own braces",
        ]
    );
}

#[test]
fn arguments_are_asked_for_and_refused() {
    assert_eq!(faults("'max', 'fc'"), ["`layers.0`: `max` needs arguments; write { max = 2 }", "`layers.1`: `fc` needs arguments; write { fc = 256 }"]);
    assert_eq!(faults("{ relu = true }"), ["`layers.0.relu`: `relu` takes no arguments; write \"relu\""]);
}

#[test]
fn convolutions_are_checked() {
    let example = "write { conv = [32, 9] }: filters, kernel, then stride and padding where they are not 1 and 0";
    assert_eq!(faults("{ conv = 3 }"), ["`layers.0.conv`: expected [filters, kernel, stride, padding] or a table, found 3"]);
    assert_eq!(faults("{ conv = [8] }"), [format!("`layers.0.conv`: `conv` needs a `kernel`; {example}")]);
    assert_eq!(faults("{ conv = { kernel = 3 } }"), [format!("`layers.0.conv`: `conv` needs `filters`; {example}")]);
    assert_eq!(faults("{ conv = [1, 2, 3, 4, 5] }"), ["`layers.0.conv`: expected at most 4 elements (filters, kernel, stride, padding), found 5"]);
    assert_eq!(
        faults("{ conv = { filters = 'atuo', kernel = 0, stride = [1], padding = -1, dilation = 2 } }"),
        [
            "`layers.0.conv.dilation`: unknown key `dilation`; known: filters, kernel, stride, padding",
            "`layers.0.conv.filters`: expected filters as an integer or one of auto, found \"atuo\"; did you mean \"auto\"?",
            "`layers.0.conv.kernel`: expected an integer from 1 to 1000000, found 0",
            "`layers.0.conv.stride`: expected a number or [h, w], found 1 elements",
            "`layers.0.conv.padding`: expected an integer from 0 to 1000000, found -1",
        ]
    );
    assert_eq!(faults("{ conv = [4, [3, 'x']] }"), ["`layers.0.conv.1.1`: expected an integer from 1 to 1000000, found \"x\""]);
    assert_eq!(faults("{ conv = [4, 3.5] }"), ["`layers.0.conv.1`: expected a number or [h, w], found 3.5"]);
}

#[test]
fn pooling_is_checked() {
    assert_eq!(faults("{ max = 0 }"), ["`layers.0.max`: expected an integer from 1 to 1000000, found 0"]);
    assert_eq!(faults("{ avg = { stride = 2 } }"), ["`layers.0.avg`: pooling needs a `kernel`; write { kernel = 2 }"]);
    assert_eq!(faults("{ max = { kernel = 2, rounding = 'upp' } }"), ["`layers.0.max.rounding`: unknown rounding `upp`; did you mean `up`? (known: down, up)"]);
    assert_eq!(faults("{ max = { kernel = 3, padding = 2 } }"), ["`layers.0.max.padding`: the padding of a pooling is at most half its kernel"]);
}

#[test]
fn widths_and_rates_are_checked() {
    assert_eq!(faults("{ fc = 'class' }"), ["`layers.0.fc`: expected units as an integer or one of auto, classes, found \"class\"; did you mean \"classes\"?"]);
    assert_eq!(faults("{ fc = 2000000 }"), ["`layers.0.fc`: expected an integer from 1 to 1000000, found 2000000"]);
    assert_eq!(faults("{ fc = [3] }"), ["`layers.0.fc`: expected units as an integer or one of auto, classes, found an array"]);
    assert_eq!(faults("{ dropout = 1.0 }"), ["`layers.0.dropout`: expected a rate from 0 to below 1, found 1.0"]);
    assert_eq!(faults("{ dropout = nan }"), ["`layers.0.dropout`: expected a rate from 0 to below 1, found nan"]);
    assert_eq!(
        faults("{ dropout = { rate = 'half', channels = 1 } }"),
        ["`layers.0.dropout.rate`: expected a rate from 0 to below 1, found \"half\"", "`layers.0.dropout.channels`: expected true or false, found 1"]
    );
}

#[test]
fn a_transformer_needs_a_transform_and_a_localiser() {
    assert_eq!(
        faults("{ st = {} }"),
        [
            "`layers.0.st`: a spatial transformer needs a `transform`; write for example transform = \"affine\"",
            "`layers.0.st`: a spatial transformer needs a `localiser`; write a layer list, for example localiser = [{ fc = 32 }, \"relu\"]",
        ]
    );
}

#[test]
fn every_key_of_a_transformer_is_checked() {
    let text = "{ st = { transform = { points = 5 }, kernel = 3, boundary = 'zero', align_corners = 'no', output = [28], lr_factor = -1, feed_theta = 1,
        localiser = ['rellu'], lr_facter = 2 } }";
    assert_eq!(
        faults(&text.replace('\n', " ")),
        [
            "`layers.0.st.lr_facter`: unknown key `lr_facter`; did you mean `lr_factor`? (known: transform, kernel, boundary, align_corners, output, start, localiser, steps, bounds, noise, lr_factor, feed_theta)",
            "`layers.0.st.transform`: this table needs a `kind`; add kind = \"NAME\"",
            "`layers.0.st.kernel`: expected a name or a table with a `kind`, found integer",
            "`layers.0.st.boundary`: unknown boundary `zero`; did you mean `zeros`? (known: zeros, border, reflection)",
            "`layers.0.st.align_corners`: expected true or false, found \"no\"",
            "`layers.0.st.output`: expected a size [H, W] or [D, H, W], found an array",
            "`layers.0.st.localiser.0`: unknown layer `rellu`; did you mean `relu`? (known: conv, max, avg, project, fc, dropout, st, parallel_st, branches, batch_norm, relu, softmax)",
            "`layers.0.st.lr_factor`: expected a number of 0 or more, found -1",
            "`layers.0.st.feed_theta`: expected true or false, found 1",
        ]
    );
}

#[test]
fn an_output_has_sides_and_a_size_that_a_machine_can_hold() {
    let read = |output: &str| faults(&format!("{{ st = {{ transform = 'affine', localiser = ['relu'], output = {output} }} }}"));
    assert_eq!(read("[0, 3]"), ["`layers.0.st.output.0`: expected an integer from 1 to 8192, found 0"]);
    assert_eq!(read("[8192, 8192, 2]"), ["`layers.0.st.output`: an output has at most 67108864 pixels"]);
}

#[test]
fn parallel_transformers_are_listed_or_counted() {
    let read = |keys: &str| faults(&format!("{{ parallel_st = {{ {keys} }} }}"));
    let need = "write count = 2, or transformers = [{ transform = \"affine\" }, ..]";
    assert_eq!(
        read("transform = 'affine', localiser = ['relu']"),
        [format!("`layers.0.parallel_st`: parallel transformers need `transformers` or a `count`; {need}")]
    );
    assert_eq!(
        read("count = 2, transformers = [{}], transform = 'affine', localiser = ['relu']"),
        ["`layers.0.parallel_st.count`: `transformers` and `count` cannot stand together; list every transformer, or give a count with one `transform`"]
    );
    assert_eq!(read("count = 0, transform = 'affine', localiser = ['relu']"), ["`layers.0.parallel_st.count`: expected an integer from 1 to 1024, found 0"]);
    assert_eq!(read("transformers = [], localiser = ['relu']"), ["`layers.0.parallel_st.transformers`: this list has no transformers"]);
    assert_eq!(read("transformers = [3], localiser = ['relu']"), ["`layers.0.parallel_st.transformers.0`: expected a table, found 3"]);
}

#[test]
fn mistakes_written_once_are_told_once() {
    let faults = faults("{ parallel_st = { count = 3, transform = 4, localiser = ['rellu'] } }");
    assert_eq!(faults.len(), 2, "{faults:#?}");
}

#[test]
fn a_listed_transformer_is_told_where_it_stands() {
    assert_eq!(
        faults("{ parallel_st = { transformers = [{ transform = 'affine' }, { kernl = 'bilinear' }], localiser = ['relu'] } }"),
        [
            "`layers.0.parallel_st.transformers.1.kernl`: unknown key `kernl`; did you mean `kernel`? (known: transform, kernel, boundary, align_corners, output, start, localiser, steps, bounds, noise)",
            "`layers.0.parallel_st.transformers.1`: a spatial transformer needs a `transform`; write for example transform = \"affine\"",
        ]
    );
}

#[test]
fn own_and_shared_localisers_cannot_stand_together() {
    assert_eq!(
        faults("{ parallel_st = { count = 2, transform = 'affine', localiser = ['relu'], shared_localiser = ['relu'] } }"),
        ["`layers.0.parallel_st.localiser`: `localiser` and `shared_localiser` cannot stand together"]
    );
}

#[test]
fn mistakes_in_a_projection_are_told() {
    assert_eq!(faults("{ project = 'maximum' }"), ["`layers.0.project`: unknown projection `maximum`; did you mean `max`? (known: max, mean, sum)"]);
    assert_eq!(
        faults("{ project = { along = 'z' } }"),
        [
            "`layers.0.project`: a projection needs `by`; write { project = \"max\" }, or { project = { by = \"sum\", along = \"height\" } }",
            "`layers.0.project.along`: unknown axis `z`; known: depth, height, width",
        ]
    );
    assert_eq!(
        faults("'project'"),
        ["`layers.0`: `project` needs arguments; write { project = \"max\" }, or { project = { by = \"sum\", along = \"height\" } }"]
    );
}
