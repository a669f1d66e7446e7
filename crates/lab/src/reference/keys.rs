//! The words of the reference page that no declaration carries; tests hold them against the readers.

use serde_json::Value as Json;
use stn_nn::ScheduleSpec;
use toml::Value;

use super::markdown::rows;

pub(super) const OPENING: &str = r#"# Experiment files

An experiment is one TOML file. Every mistake in it is shown with its line before anything is trained.

```toml
name = "example"

[dataset]
kind = "mnist"
source = "embedded"
distortion = "R"

[train]
steps = 1200
batch = 64
lr = 0.02
optimizer = { kind = "sgd", momentum = 0.9 }
schedule = "cosine"

[models.cnn]
label = "CNN"
parameters = 100_000
layers = [{ conv = [16, 9] }, "relu", { max = 2 }, { conv = [16, 7] }, "relu", { max = 2 }, { fc = "auto" }, "relu", { fc = "classes" }]

[models.st]
label = "ST-CNN"
layers = [{ st = { transform = "affine", localiser = [{ fc = 32 }, "relu"] } }, { conv = [16, 9] }, "relu", { max = 2 }, { fc = "classes" }]
train = { lr = 0.01 }

[sweep]
seeds = [0, 1, 2]
[sweep.grid]
model = ["cnn", "st"]
```
"#;

pub(super) const MODELS: &str = "A network. Filters and units may be `\"auto\"`: one number for all of them, solved so that the network comes nearest to `parameters`. \
The parameters' names in `weights.safetensors` are the layer's name with `.weight` or `.bias`, in PyTorch's layouts; of batch normalisation also `.running_mean` and `.running_var`.";

/// Key, type, default, meaning.
pub(super) const NETWORK: &[[&str; 4]] = &[
    ["`layers`", "list", "", "The layers, in order; the table below."],
    ["`parameters`", "integer", "", "How many parameters the network should have: what `\"auto\"` widths are solved for."],
    ["`tolerance`", "number", "`0.02`", "How far from `parameters` the nearest width may lie, as a fraction of it."],
    [
        "`init`",
        "string",
        "`\"kaiming_normal\"`",
        "How weights start: `\"kaiming_normal\"`, `\"xavier_normal\"` (for dropout at 0.5 in every layer) or `\"pytorch\"`.",
    ],
    [
        "`weights`",
        "string or table",
        "",
        "A safetensors file, such as a trial's `weights.safetensors`, whose tensors the parameters and running moments of the same names start from; what it does not hold starts as without it. \
        Or `{ file = \"encoder.safetensors\", into = [\"parallel_st1.each1\"], except = [\"fc1\"] }`: `into` are the parts of the network that it is for, below whose names its own are looked up; \
        `except` are layers of it that are left out. Its content is a part of the trial's id.",
    ],
];

pub(super) const LAYERS: &[[&str; 2]] = &[
    [
        "`{ conv = [filters, kernel, stride, padding] }`",
        "Convolution; stride 1 and padding 0 where left out. Also as a table of these names. A number, or `[h, w]`.",
    ],
    [
        "`{ max = 2 }`, `{ avg = 2 }`",
        "Pooling; also `{ kernel, stride, padding, rounding = \"down\" }` (or `\"up\"`), the stride being the kernel where left out. `{ avg = \"all\" }` pools the whole image.",
    ],
    [
        "`{ project = \"max\" }`",
        "A volume seen along its depth, `C x D x H x W` to `C x H x W`: its `\"max\"`, `\"mean\"` or `\"sum\"`. Also `{ by = \"max\", along = \"depth\" }` (or `\"height\"`, `\"width\"`).",
    ],
    ["`{ fc = 256 }`", "Fully connected; `\"classes\"` stands for the number of classes."],
    ["`\"relu\"`, `\"softmax\"`", "Non-linearities; a softmax at the end is left to the loss."],
    [
        "`\"batch_norm\"`",
        "Batch normalisation of each channel: by the batch's moments in training, by running ones in evaluation. Also `{ batch_norm = { momentum = 0.1, epsilon = 1e-5 } }`: how far the running moments go \
        towards each batch's, and what is added to the variance. A convolution or fc right in front of it has no bias of its own. Its weight and bias do not decay.",
    ],
    ["`{ branches = [[...], [...]] }`", "Layer lists side by side on the same input, their outputs joined along channels: an inception module."],
    ["`{ dropout = 0.5 }`", "Dropout; also `{ rate = 0.5, channels = true }`, which drops whole feature maps."],
    ["`{ st = { ... } }`", "A spatial transformer, at any depth."],
    [
        "`{ parallel_st = { ... } }`",
        "Several side by side, their outputs joined along channels: `transformers = [{ ... }, ...]`, or `count = n` with one `transform`.",
    ],
];

/// Key, default, meaning.
pub(super) const TRANSFORMER: &[[&str; 3]] = &[
    ["`transform`", "", "A transformation: a name, or a table with a `kind` and parameters."],
    [
        "`localiser`",
        "",
        "The layer list that predicts theta. A last fc of exactly theta's length predicts it, else one is appended; its weights start at zero and its bias at the identity, or for one of several parallel transformers at its tile.",
    ],
    ["`kernel`", "`\"bilinear\"`", "A sampling kernel: a name, or a table with a `kind` and parameters."],
    ["`boundary`", "`\"zeros\"`", "What is read outside the input: `\"zeros\"`, `\"border\"` or `\"reflection\"`."],
    ["`align_corners`", "`false`", "Whether -1 and 1 are the centres of the outer pixels instead of their outer edges."],
    ["`output`", "the input's", "The output's size, `[h, w]`."],
    ["`start`", "the identity", "Theta before training, a list of its numbers; for one of several parallel transformers its tile where left out."],
    [
        "`steps`",
        "`1`",
        "How often the transformer is applied, with the same weights and composed warps (Lin & Lucey, CVPR 2017): in each step the localisation network sees the original input through the warp so far and predicts an increment, `T_total(p) = T_before(T_increment(p))`, and the input is sampled anew. The transformation must be one whose warps compose: affine, affine3d, attention with a free scale, projective, rigid, similarity, translation. From 2 on, parallel transformers start from their tiles and predict increments from the identity, each with a localiser of its own.",
    ],
    [
        "`bounds`",
        "",
        "A pair `[least, most]` for each number of theta, which then stays between them: `theta = (least + most) / 2 + (most - least) / 2 tanh(z)`, with z what the localisation network predicts. `start` must lie between them. Not together with `steps`.",
    ],
    [
        "`noise`",
        "",
        "The standard deviation of normal noise on each number of theta, in training only, a list: the loss is then learnt from about theta, not at it, so that ripples of the image or of what judges it lead nowhere. Not together with `steps`.",
    ],
    [
        "`lr_factor`",
        "`1.0`",
        "The factor on the learning rate of the localisation network. It is also how a loss that is scaled for each localiser is realised: under plain SGD the two are the same.",
    ],
    ["`feed_theta`", "`false`", "Whether theta joins the input of the next fc layer."],
    ["`shared_localiser`", "", "Of `parallel_st`: one layer list that predicts the theta of every transformer."],
    ["`each`", "", "Of `parallel_st`: a layer list that every transformer's output goes through, each with weights of its own, before they are joined."],
];

pub(super) const OBJECTIVES: &str = "`classify`: cross-entropy; an image is wrong where one of its labels is.\n\n\
`colocalise`: the network ends in a transformer, which cuts a piece out of every image. Pieces of different images are to be more alike than to random pieces of their own images, \
by the activations of an encoder that was trained before; an image is wrong where the place cut out and the thing's own overlap by half of their union at most. \
The data set must know the places: `mnist_colocalise`.";

pub(super) const SWEEP: &str = "What to vary. Any key of the file can be: those of `[dataset]`, `[train]` and `[models.NAME]`, and `model`. \
Several blocks, each written `[[sweep]]`, are joined end to end. A value of the sweep on `train.KEY` goes before a model's own `train` table, which goes before `[train]`.\n\n\
A trial's id is a hash of everything that can change its result: data set, network, training and seed, but not names, labels, threads or folders. A trial that is done is not run again, unless the data under its path has changed.";

pub(super) const AXES: &str = r#"
### Grids, zips and random draws

A grid trains all combinations of its lists, the first key varying slowest. Here that is four points:

```toml
[sweep.grid]
model = ["cnn", "st"]
"dataset.distortion" = ["R", "RTS"]
```

A zip goes through its lists side by side, so they are all of one length. Here that is three points, and not nine:

```toml
[[sweep.zip]]
"train.lr" = [0.1, 0.03, 0.01]
"train.batch" = [256, 128, 64]
```

Random draws are `count` points, each with a value drawn for every key:

```toml
[sweep.random]
count = 20

[sweep.random.keys]
"train.lr" = { log_uniform = [1e-4, 1e-1] }
"train.batch" = { uniform = [16, 256] }
"train.optimizer" = { choice = ["adam", { kind = "sgd", momentum = 0.9 }] }
```

A block may have all three, and several zips, each in a `[[sweep.zip]]` of its own. Then every point of the grid is combined with every place of each zip, every draw and every seed; the grid varies slowest, then the zips, then the draws, and the seed fastest. A key may be varied once in a block. Quotes around dotted keys may be left out.
"#;

pub(super) const RANDOM: &str = "A draw depends on the seed of the draws, the key and the draw's number alone: a larger `count` leaves the draws there were as they are, and their trials done, and another key leaves the values of the others as they are. \
Points that are equal are one trial.";

/// Distribution, values.
pub(super) const DISTRIBUTIONS: &[[&str; 2]] = &[
    ["`{ uniform = [a, b] }`", "Numbers from a to b, all as likely. Where a and b are both whole numbers, whole numbers, a and b among them."],
    [
        "`{ log_uniform = [a, b] }`",
        "Numbers from a to b, both above 0, whose logarithms are all as likely: as many from 0.001 to 0.01 as from 0.01 to 0.1. Whole numbers where a and b both are; `[1.0, 8.0]` where they should not be.",
    ],
    ["`{ choice = [...] }`", "The elements of the list, of any type, all as likely."],
];

pub(super) const RUN: &str = "How trials are run; nothing in it changes a result. See [Many trials](many-trials.md).";

pub(super) const PRUNE: &str = "Trials are stopped early only where this table is there. Those on the same data are compared after the same number of steps; what is stopped is told as pruned, \
and averaged with nothing. See [Many trials](many-trials.md#stopping-what-is-worse).";
pub(super) const SLURM: &str =
    "How `stn run FILE --executor slurm` asks a cluster for the trials; see [On a cluster](cluster.md). Flags of the same names go before it.";

pub(super) const REPORT: &str = "What the report shows.\n\n\
- `baseline`: the model that step times are compared with, by its label or the name of its table.\n\
- `published`: published test errors in percent, a table for each distortion, or for each value of another swept key as tables show it, by the models' labels or names: \
`R = { \"CNN\" = 1.2 }`, `\"size=64\" = { \"CNN\" = 4.0 }` in `[report.published]`.\n\
- `rows` and `columns`: the keys of the sweep that stand in the lines of the table and across, one or a list, in full or by their ends: `rows = \"model\"`, `columns = [\"dataset.size\", \"lr\"]`. By default models \
stand in the lines and distortions across. Whatever else is swept joins the lines, so that only seeds are averaged.\n\
- `spread`: what stands behind the means and is drawn around them: `\"deviation\"` (default), the standard deviation over the seeds, or `\"interval\"`, half of the 95 % interval of the mean by Student's t.\n\
- `figures`: the figures that are wanted, a list out of `\"learning_curves\"`, `\"comparison\"`, `\"error_against\"`, `\"cost\"`, `\"seeds\"`, `\"confusion\"`, `\"theta\"`, `\"montage\"`, `\"worst\"`, `\"windows\"`, \
`\"volumes\"` and `\"straightening\"`; `[]` is none. By default every figure for which there are data and which says something. [Figures](figures.md) shows what each is.\n\
- `formats`: what they are written as, a list out of `\"svg\"`, `\"png\"` (300 dpi) and `\"pdf\"`; by default all. `stn report DIR --format pdf` goes before it.\n\
- `style`: widths, type and colours, a table:";

/// What `[report.style]` takes.
pub(super) const STYLE: &[[&str; 4]] = &[
    ["`columns`", "1 or 2", "`2`", "How many columns of the page a figure fills."],
    ["`column_width_mm`", "float", "`88`", "Width of a figure of one column, in millimetres, 40 to 420."],
    ["`text_width_mm`", "float", "`180`", "Width of a figure of two columns, in millimetres, 40 to 420."],
    [
        "`font_size_pt`",
        "float",
        "`7`",
        "Size of ticks, legends and values, in points, 4 to 24; titles, lines and gaps keep their proportion to it. A figure needs 60 mm for type of 7 points, and in proportion for other type.",
    ],
    [
        "`palette`",
        "string or list of strings",
        "`\"default\"`",
        "Colours of the models: `\"default\"` (after Okabe and Ito), `\"bright\"` (Paul Tol's) or `\"grey\"`, or a list such as `[\"#0072B2\", \"#E69F00\"]`. With more models, colours come again with other markers.",
    ],
];

/// The same as a file.
pub(super) const STYLE_FILE: &str = "`stn report DIR --style FILE` takes a TOML file of these keys, such as one a journal, and lays it over the experiment's.";

pub(super) const ARGUMENTS: &str = "`key=value` after the file's name changes a key: `train.steps=200`, `'sweep.seeds=[0]'`, `dataset.distortion=RTS`. The value is TOML; what is not TOML is a string.\n\n\
- A key that the sweep varies is held at the value given; a list holds it at several. In a grid, it is the new list. A zip keeps the places with these values; where it lacks one of them, the key is taken out of the zip \
and swept over the values as one of the grid. So is a key that is drawn at random; the draws of other keys stay as they were.\n\
- Where several `[[sweep]]` blocks vary the key and list the values, each keeps those that it lists, and a block that lists none is left out. \
A block that does not vary the key takes the value as well; a list is a mistake then.\n\
- `train.KEY=...` is for every model: it also replaces what a model's own `train` table says about KEY.\n\
- `sweep.seeds=...`, `sweep.grid.KEY=...`, `sweep.zip.0.KEY=...`, `sweep.random.count=...` and `sweep.random.keys.KEY=...` are for every block (that has such a zip, or draws), `sweep.0.seeds=...` for the first. \
A single value for a grid or a zip stands for a list of one; for the seeds it is their number, as in the file.";

pub(super) const RESULTS: &str = r#"# Results

A run of the experiment NAME leaves:

```text
OUT/NAME/experiment.toml           the file as it was run, with its arguments
OUT/NAME/plan.parquet              the trials of the latest run, in order, and what this experiment calls them
OUT/NAME/report/                   figures and tables
OUT/NAME/tensorboard/              event files for TensorBoard, where they were asked for
OUT/trials/ID/facts.parquet        what was run, on what, and how it ended
OUT/trials/ID/metrics.parquet      loss and error over the steps
OUT/trials/ID/confusion.parquet    which classes are taken for which
OUT/trials/ID/thetas.parquet       parameters of the transformations for some test images over the training
OUT/trials/ID/warps.parquet        some test images before and after each transformer
OUT/trials/ID/worst.parquet        the same of those that are wrong by most
OUT/trials/ID/weights.safetensors  the trained parameters by name, in PyTorch's layouts
OUT/trials/ID/trial.log            what happened, with times
OUT/work/ID.N/                     a trial at work, with its checkpoints
```

Every file appears whole under its name or not at all, and `facts.parquet` appears last.
"#;

/// Schedules: kind, key, meaning.
const SCHEDULES: &[(&str, &[[&str; 2]])] = &[
    ("constant", &[["warmup", "Steps at the start in which the factor rises in a straight line to 1."]]),
    (
        "step",
        &[
            ["every", "Steps between two falls, counted from the end of the warm-up."],
            ["factor", "What the learning rate is multiplied by at each fall."],
            ["warmup", "Steps at the start in which the factor rises in a straight line to 1."],
        ],
    ),
    (
        "milestones",
        &[
            ["at", "The steps at which it falls, counted from the end of the warm-up."],
            ["factor", "What the learning rate is multiplied by at each fall."],
            ["warmup", "Steps at the start in which the factor rises in a straight line to 1."],
        ],
    ),
    (
        "cosine",
        &[
            ["floor", "The factor at the end; half a cosine leads there from 1."],
            ["warmup", "Steps at the start in which the factor rises in a straight line to 1."],
        ],
    ),
];

/// Every schedule with its keys; the defaults are the reader's own.
pub(super) fn schedules() -> String {
    let mut text = String::from("The factor on the learning rate at each step.\n");
    for (kind, keys) in SCHEDULES {
        let defaults = ScheduleSpec::from_value(&Value::String((*kind).into())).ok().and_then(|spec| serde_json::to_value(spec).ok()).unwrap_or(Json::Null);
        let cells: Vec<[String; 3]> = keys.iter().map(|[key, meaning]| [format!("`{key}`"), format!("`{}`", defaults[*key]), (*meaning).to_owned()]).collect();
        let borrowed: Vec<[&str; 3]> = cells.iter().map(|row| row.each_ref().map(String::as_str)).collect();
        text.push_str(&format!("\n`{kind}`\n\n{}", rows(&["key", "default", "meaning"], &borrowed)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_every_schedule_is_described() {
        for (kind, keys) in SCHEDULES {
            let defaults = serde_json::to_value(ScheduleSpec::from_value(&Value::String((*kind).into())).unwrap()).unwrap();
            let mut found: Vec<_> = defaults.as_object().unwrap().keys().filter(|key| *key != "kind").cloned().collect();
            found.sort();
            let described: Vec<_> = keys.iter().map(|[key, _]| (*key).to_owned()).collect();
            assert_eq!(found, described, "{kind}");
        }
    }
}
