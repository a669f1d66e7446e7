//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use stn_lab::DeviceName;
use stn_report::Format;

/// Spatial transformer networks: experiments from a TOML file to figures.
#[derive(Debug, Parser)]
#[command(name = "stn", version, about = "Spatial transformer networks: experiments from a TOML file to figures", arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every trial of an experiment that is not done yet, then report.
    Run(Run),
    /// Watch an experiment that runs, here or elsewhere.
    Watch(Watch),
    /// Show how far an experiment's trials are, here or on a cluster.
    Status(Status),
    /// Make tables and figures anew from an experiment's results.
    Report(Report),
    /// Apply a trained network to its test images, or to images of your own.
    Predict(Predict),
    /// List, fetch and preview data sets.
    Data(Data),
    /// List transformations and sampling kernels with their parameters.
    Plugins(Plugins),
    /// Apply a grid generator or a sampler to .npy files.
    Op(Op),
    /// Time training steps, samplers, small sweeps and the machine's limits.
    Bench(Bench),
    /// Print a page of the manual that is made from the code.
    Reference(Reference),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The experiment's TOML file.
    pub(crate) file: PathBuf,
    /// Changes to the file's keys, such as train.steps=2000 or 'sweep.seeds=[0]'.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// The folder of all results.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) out: PathBuf,
    /// Threads for the arithmetic, all trials together; results do not depend on it. All cores unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) threads: Option<u16>,
    /// Trials to run at once, each with its share of the threads and one of the devices. One a device unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) jobs: Option<u16>,
    /// The devices to compute on: cpu, cuda:0 or several, such as cuda:0,cuda:1, which the jobs take in turn.
    #[arg(long = "device", value_name = "LIST", value_delimiter = ',', default_value = "cpu")]
    pub(crate) devices: Vec<DeviceName>,
    /// Memory that the trials may take together on a device, such as 8GiB. What is free there unless given.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<u64>,
    /// Run this trial only; may be given several times.
    #[arg(long = "trial", value_name = "ID")]
    pub(crate) trials: Vec<String>,
    /// Show the trials, how far they are and how long they should take, and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write event files for TensorBoard with the report, one run a trial, into OUT/NAME/tensorboard.
    #[arg(long)]
    pub(crate) tensorboard: bool,
    /// Where the trials run.
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Executor::Local)]
    pub(crate) executor: Executor,
    #[command(flatten)]
    pub(crate) slurm: Slurm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Executor {
    /// In this process.
    Local,
    /// On a Slurm cluster that shares the folders: an array of tasks, one a trial.
    Slurm,
    /// As one of those tasks.
    #[value(hide = true)]
    SlurmTask,
}

/// What a submission asks of the cluster; each goes before the key of its name in the file's `[slurm]`.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --executor slurm")]
pub(crate) struct Slurm {
    /// The partition.
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// The account that is charged.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The quality of service.
    #[arg(long, value_name = "NAME")]
    qos: Option<String>,
    /// The time limit of a task, which then makes a checkpoint and queues again: minutes or D-HH:MM:SS.
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// Generic resources of a task, such as gpu:1.
    #[arg(long, value_name = "LIST")]
    gres: Option<String>,
    /// Processors of a task, which are also its threads.
    #[arg(long, value_name = "N")]
    cpus_per_task: Option<u32>,
    /// Memory of a task, such as 4G.
    #[arg(long, value_name = "SIZE")]
    mem: Option<String>,
    /// How many tasks may run at once.
    #[arg(long, value_name = "N")]
    throttle: Option<u32>,
}

impl Slurm {
    /// The flags that were given, by the name of their key, with the value as TOML.
    pub(crate) fn given(&self) -> Vec<(&'static str, String)> {
        let text = |text: &Option<String>| text.as_ref().map(|text| toml::Value::from(text.as_str()).to_string());
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let all = [
            ("partition", text(&self.partition)),
            ("account", text(&self.account)),
            ("qos", text(&self.qos)),
            ("time", text(&self.time)),
            ("gres", text(&self.gres)),
            ("cpus_per_task", number(self.cpus_per_task)),
            ("mem", text(&self.mem)),
            ("throttle", number(self.throttle)),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// An experiment's folder of results, such as results/quickstart.
    pub(crate) dir: PathBuf,
}

/// Bytes from a number and a unit.
fn size(text: &str) -> Result<u64, String> {
    text.parse::<bytesize::ByteSize>().map(|size| size.as_u64()).map_err(|_| "write a number and a unit, such as 8GiB or 500MB".into())
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// An experiment's folder of results, such as results/quickstart.
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// An experiment's folder of results, such as results/quickstart; of several, one report in which whatever they differ in is a key.
    #[arg(required = true, value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
    /// The folder of the report: DIR/report unless given, and of several DIRs the first one's report_with_ and the others' names.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// A TOML file with widths, type size and colours for a journal's figures; its keys go before those of the experiment's [report.style].
    #[arg(long, value_name = "FILE")]
    pub(crate) style: Option<PathBuf>,
    /// What figures are written as: svg, png (300 dpi), pdf, or several of them, such as pdf,svg. As the experiment's [report] says unless given, and else all.
    #[arg(long = "format", value_name = "LIST", value_delimiter = ',', value_parser = format)]
    pub(crate) formats: Option<Vec<Format>>,
    /// Write event files for TensorBoard as well, one run a trial, into DIR/tensorboard.
    #[arg(long)]
    pub(crate) tensorboard: bool,
}

/// A format of figures by its name.
fn format(name: &str) -> Result<Format, String> {
    Format::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| format!("figures are written as {}", Format::ALL.map(Format::name).join(", ")))
}

#[derive(Debug, Args)]
pub(crate) struct Predict {
    /// A trial's folder, such as results/trials/0123456789abcdef; given an experiment's folder, it lists them.
    pub(crate) trial: PathBuf,
    /// Images of your own: a .npy, or an .npz with an array `images`; N x H x W, N x C x H x W or N x H x W x C, of bytes or of numbers from 0 to 1. The trial's test part unless given.
    #[arg(long, value_name = "FILE")]
    pub(crate) images: Option<PathBuf>,
    /// At most so many images, the first ones. All unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// Where to write logits, classes, and every transformer's theta and output: .parquet, or .npz.
    #[arg(long, value_name = "FILE", default_value = "predictions.parquet")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Data {
    #[command(subcommand)]
    pub(crate) action: DataAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataAction {
    /// Every kind of data set, and the keys it takes.
    List,
    /// Download a data set into the cache, checked.
    Fetch {
        /// The data set's kind, such as mnist.
        name: String,
    },
    /// Draw a contact sheet of training images.
    Preview {
        /// The data set's kind, such as mnist.
        name: String,
        /// Keys of the [dataset] table, such as distortion=RTS.
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<String>,
        /// The PNG to write.
        #[arg(long, value_name = "FILE", default_value = "preview.png")]
        out: PathBuf,
        /// Images a row.
        #[arg(long, default_value_t = 16)]
        columns: usize,
        /// Rows.
        #[arg(long, default_value_t = 8)]
        rows: usize,
        /// The seed of the distortions.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Plugins {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to time, by name or by how its name begins: step.tutorial, sample.bilinear, limit.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Print the name of everything that can be timed, and stop.
    #[arg(long)]
    pub(crate) list: bool,
    /// How many runs are timed; as many as fit three seconds unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) reps: Option<u32>,
    /// Time all of them in turns, so many times, and compare the first with the others.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) rounds: u16,
    /// Threads for the arithmetic. All cores unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) threads: Option<u16>,
    /// What computes steps, samplers and the limits: cpu, or cuda:0.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: DeviceName,
    /// Let convolutions on a graphics card multiply TensorFloat-32, as `train.precision = "tf32"` does.
    #[arg(long)]
    pub(crate) tf32: bool,
    /// Print a line of JSON for each: work, median_ms, p10_ms, peak_bytes.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Reference {
    /// The page to print.
    #[arg(value_enum, default_value_t = Page::Experiment)]
    pub(crate) page: Page,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Page {
    /// Every key of an experiment file, as Markdown.
    Experiment,
    /// Every file and column of the results, as Markdown.
    Results,
    /// The JSON schema of experiment files, for editors.
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct Op {
    #[command(subcommand)]
    pub(crate) operator: Operator,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Operator {
    /// The sampling grid of a transformation: N x H x W x 2 or N x D x H x W x 3.
    Grid(Grid),
    /// An image or volume read at a grid, and the gradients of that.
    Sample(Box<Sample>),
}

/// A transformation with its theta and target.
#[derive(Debug, Args)]
pub(crate) struct Transform {
    /// The transformation's name: see `stn plugins`.
    #[arg(long, value_name = "NAME", requires = "theta", requires = "size")]
    pub(crate) transform: Option<String>,
    /// theta, N x its length; further axes are flattened, so N x 2 x 3 serves affine.
    #[arg(long, value_name = "T.npy", requires = "transform")]
    pub(crate) theta: Option<PathBuf>,
    /// The target's size: H,W or D,H,W.
    #[arg(long, value_name = "H,W|D,H,W", value_delimiter = ',', requires = "transform")]
    pub(crate) size: Vec<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Grid {
    #[command(flatten)]
    pub(crate) transform: Transform,
    /// A parameter of the transformation, such as points=5; may be repeated.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// -1 and 1 are the centres of the outer pixels instead of their outer edges.
    #[arg(long)]
    pub(crate) align_corners: bool,
    /// The grid, written in theta's precision.
    #[arg(long, value_name = "G.npy")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Sample {
    /// The source: N x C x H x W or N x C x D x H x W, f32 or f64.
    #[arg(long, value_name = "U.npy")]
    pub(crate) input: PathBuf,
    /// The sampling grid; or give --transform, --theta and --size.
    #[arg(long, value_name = "G.npy", conflicts_with = "transform", required_unless_present = "transform")]
    pub(crate) grid: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) transform: Transform,
    /// The sampling kernel's name: see `stn plugins`.
    #[arg(long, value_name = "NAME")]
    pub(crate) kernel: String,
    /// A parameter of the kernel or of the transformation, such as a=-0.5 or points=5; may be repeated.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// What is read outside the source: zeros, border or reflection.
    #[arg(long, value_name = "NAME")]
    pub(crate) boundary: String,
    /// -1 and 1 are the centres of the outer pixels instead of their outer edges.
    #[arg(long)]
    pub(crate) align_corners: bool,
    /// The output, N x C x target, written in the input's precision.
    #[arg(long, value_name = "V.npy")]
    pub(crate) out: PathBuf,
    /// The gradient with respect to the output: asks for gradients.
    #[arg(long, value_name = "DV.npy")]
    pub(crate) grad_out: Option<PathBuf>,
    /// Where the gradient with respect to the input goes.
    #[arg(long, value_name = "DU.npy", requires = "grad_out")]
    pub(crate) grad_input: Option<PathBuf>,
    /// Where the gradient with respect to the grid goes.
    #[arg(long, value_name = "DG.npy", requires = "grad_out", requires = "grid")]
    pub(crate) grad_grid: Option<PathBuf>,
    /// Where the gradient with respect to theta goes.
    #[arg(long, value_name = "DT.npy", requires = "grad_out", requires = "transform")]
    pub(crate) grad_theta: Option<PathBuf>,
}
