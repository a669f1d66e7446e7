//! Every column of every file, declared once: writers are tested against it, and the manual is made from it.

/// A column of a Parquet file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type, as polars names it.
    pub kind: &'static str,
    /// What it holds.
    pub description: &'static str,
}

/// A Parquet file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableDoc {
    /// Where it is: `plan.parquet` below `OUT/EXPERIMENT/`, the others below `OUT/`.
    pub file: &'static str,
    /// What a row is.
    pub description: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
}

const fn column(name: &'static str, kind: &'static str, description: &'static str) -> Column {
    Column { name, kind, description }
}

/// Every Parquet file of the results.
pub fn schema() -> &'static [TableDoc] {
    &[PLAN, FACTS, METRICS, CONFUSION, THETAS, WARPS, WORST]
}

pub(crate) const PLAN: TableDoc = TableDoc {
    file: "plan.parquet",
    description: "One row a trial of the latest run, in order: what this experiment calls it. What was measured stands in the trial's own folder, which every experiment in one folder of results shares.",
    columns: &[
        column("trial", "str", "The trial's id: its folder's name."),
        column("model", "str", "The model's name in the experiment file."),
        column("label", "str", "The model's label, for tables and figures."),
        column("seed", "i64", "The seed."),
        column("differs", "str", "JSON object: the swept keys (without the seed) and this trial's values, as text."),
    ],
};

pub(crate) const FACTS: TableDoc = TableDoc {
    file: "trials/ID/facts.parquet",
    description: "One row: what was run, on what, and how it ended. A trial's folder appears when it has ended, with all its files.",
    columns: &[
        column("trial", "str", "The trial's id: the first 16 hexadecimal digits of the BLAKE3 hash of `config`."),
        column("seed", "i64", "The seed of initialisation, order, distortions and dropout."),
        column("dataset", "str", "The kind of the data set."),
        column("distortion", "str", "The distortion of its images."),
        column("config", "str", "JSON object: everything that can change the result (data set, network, training, seed), keys sorted."),
        column("labels", "i64", "The labels of an image: 1, or several that must all be right, such as the digits of a house number."),
        column("parameters", "i64", "The number of trained parameters."),
        column("width", "i64", "The number that \"auto\" widths were solved to; null where there are none."),
        column("steps", "i64", "Training steps done; fewer than asked for after an early stop or a failure."),
        column(
            "test_error",
            "f64",
            "Images of the whole test part that are wrong at the end, in percent; null for a failed trial. An image is wrong where one of its labels is named wrongly (of a house number this is the sequence error); where a network is to find things, where the thing was not found.",
        ),
        column("test_loss", "f64", "Mean loss on the test part at the end, cross-entropy unless `train.objective` is another; null for a failed trial."),
        column("step_ms", "f64", "Median time of a training step in milliseconds, the wait for its data included, evaluation not."),
        column("data_wait_ms", "f64", "Median of the part of a step spent waiting for its batch, in milliseconds."),
        column("train_seconds", "f64", "Time in training steps, in seconds; without evaluation and without opening the data set."),
        column("wall_seconds", "f64", "Time of the whole trial, in seconds; without opening the data set, which trials share."),
        column("peak_memory_bytes", "i64", "The most memory the process held up to the trial's end; earlier trials of the same process count."),
        column("threads", "i64", "Threads that computed; they do not change the result."),
        column("device", "str", "The device: `cpu`, `cuda:0` ..."),
        column(
            "cpu_features",
            "str",
            "Features of the processor that choose how matrices are multiplied, such as `avx512f avx2 fma`; the architecture where there are none. The same configuration gives the same bits on processors with the same features.",
        ),
        column("data_source", "str", "Where the data came from."),
        column("data_sha256", "str", "SHA-256 of the data as read, before distortion."),
        column("data_licence", "str", "The data's licence; unknown for data of one's own."),
        column("synthetic", "bool", "Whether the data is synthetic."),
        column("stn_version", "str", "The version of this project."),
        column("revision", "str", "The revision of the source code that the program was built from."),
        column("candle_version", "str", "The version of the tensor library."),
        column("started", "str", "When the trial started: RFC 3339, UTC."),
        column(
            "status",
            "str",
            "`done`; `pruned: ` and the reason where it was stopped early, as it was worse than others; `diverged: ` and the reason where the numbers left the finite ones; `failed: ` and the reason.",
        ),
    ],
};

pub(crate) const METRICS: TableDoc = TableDoc {
    file: "trials/ID/metrics.parquet",
    description: "Loss and error over the steps. The same configuration gives the same bytes, whatever the number of threads, on processors with the same `cpu_features`.",
    columns: &[
        column("step", "i64", "Training steps done."),
        column("split", "str", "`train`: means over the steps since the row before; `test`: the whole test part."),
        column("loss", "f64", "Mean loss: cross-entropy, unless `train.objective` is another."),
        column("error", "f64", "Error in percent."),
        column("lr", "f64", "The learning rate of the latest step."),
    ],
};

pub(crate) const CONFUSION: TableDoc = TableDoc {
    file: "trials/ID/confusion.parquet",
    description: "Which classes the network takes for which, over the whole test part after training: one row a pair that occurs.",
    columns: &[
        column("head", "i64", "Which of the image's labels, from 0."),
        column("class", "i64", "Its class."),
        column("predicted", "i64", "The class the network gives it; -1 where it is to find a thing, and has not."),
        column("images", "i64", "How many images."),
    ],
};

pub(crate) const THETAS: TableDoc = TableDoc {
    file: "trials/ID/thetas.parquet",
    description: "The parameters that each spatial transformer chooses for some test images (those of `warps.parquet`), before the first step, at every evaluation and after training: one row a moment, image and transformer, and step of a transformer that is applied several times. Empty for a network without transformers.",
    columns: &[
        TRAINED,
        column("sample", "i64", "The image's index in the test part."),
        column("layer", "str", "The transformer's name."),
        column("step", "i64", "How many times the transformer had been applied, from 1; theta is that of the composed warps."),
        column("class", "i64", "The image's class; of several labels the first."),
        column("predicted", "i64", "The class the network gives it; -1 where it is to find a thing, and has not."),
        column("theta", "list[f64]", "The transformation's parameters."),
        column("theta_names", "list[str]", "Their names."),
    ],
};

/// The moment of a row.
const TRAINED: Column = column("trained", "i64", "Training steps done.");

pub(crate) const WARPS: TableDoc = TableDoc {
    file: "trials/ID/warps.parquet",
    description: "What each spatial transformer did to some test images (the first of each class, ten at most): one row a moment, image and transformer, and step of a transformer that is applied several times. The moments are the end of the training, which has the greatest `trained`, and, of as many images as have 131,072 numbers together, the time before the first step and the evaluations next to a 32nd, a 16th, an 8th, a quarter and half of the steps. At these, of volumes, grids have 7 points a side at most, and where one volume alone has too many numbers, the greatest of 2 x 2 x 2 voxels and more is kept. Empty for a network without transformers.",
    columns: &WARP_COLUMNS,
};

const WARP_COLUMNS: [Column; 14] = [
    TRAINED,
    column("sample", "i64", "The image's index in the test part."),
    column("layer", "str", "The transformer's name."),
    column("step", "i64", "How many times the transformer had been applied, from 1; theta is that of the composed warps."),
    column("class", "i64", "The image's class; of several labels the first."),
    column("predicted", "i64", "The class the network gives it; -1 where it is to find a thing, and has not."),
    column("theta", "list[f64]", "The transformation's parameters."),
    column("theta_names", "list[str]", "Their names."),
    column("input", "list[f32]", "What went into the transformer, row-major."),
    column("input_shape", "list[i64]", "Its shape: C H W, or C D H W."),
    column("grid", "list[f32]", "The sampling grid in normalised coordinates of the input, row-major."),
    column("grid_shape", "list[i64]", "Its shape: H W 2, or D H W 3."),
    column("output", "list[f32]", "What came out of the transformer, row-major."),
    column("output_shape", "list[i64]", "Its shape: C H W, or C D H W."),
];

pub(crate) const WORST: TableDoc = TableDoc {
    file: "trials/ID/worst.parquet",
    description: "What each spatial transformer did after training to the test images that are wrong with the largest `loss` of the whole test part, worst first: ten, or as many as have 4,194,304 numbers together (of volumes, grids have 7 points a side at most); fewer where fewer are wrong. One row an image and transformer, and step of a transformer that is applied several times. Empty for a network without transformers.",
    columns: &joined::<{ WARP_COLUMNS.len() + WRONG_COLUMNS.len() }>(&WARP_COLUMNS, &WRONG_COLUMNS),
};

const WRONG_COLUMNS: [Column; 3] = [
    column(
        "loss",
        "f64",
        "How far the image is from right: the cross-entropy, summed over its labels; where a thing is to be found, 1 - IoU of its place and the place cut out.",
    ),
    column("classes", "list[i64]", "The class of every label."),
    column("predictions", "list[i64]", "The class that the network gives to every label; -1 where it is to find a thing, and has not."),
];

/// `front` and then `back`, `N` columns together.
const fn joined<const N: usize>(front: &[Column], back: &[Column]) -> [Column; N] {
    let mut all = [TRAINED; N];
    let mut i = 0;
    while i < N {
        all[i] = if i < front.len() { front[i] } else { back[i - front.len()] };
        i += 1;
    }
    all
}
