//! Networks of spatial transformers, from a layer list to a training step.
//!
//! A [`NetworkSpec`] is a layer list as written in a file; a [`Plan`] is that list with every shape, width and plugin settled for one input; a [`Network`] is a plan
//! with weights. [`Optimizer`] and [`ScheduleSpec`] move the weights.
//!
//! # Parameter names
//!
//! Layers are numbered from 1 among those of their kind, in the order of the list: `conv1`, `conv2`, `fc1`, `st1`, `parallel_st1`. A parameter is a layer with
//! `.weight` or `.bias`: `conv1.weight` (`O x I x kh x kw`), `fc1.weight` (`O x I`), `fc1.bias` (`O`): the layouts of PyTorch, so that a `torch.nn.Module` with
//! attributes of the same names loads a saved file with `load_state_dict`. The layers of a localisation network stand below its transformer,
//! `st1.localiser.conv1.weight`, and of the i-th (from 1) of several parallel ones `parallel_st1.localiser2.conv1.weight`; a shared one is `parallel_st1.localiser`. Its
//! last layer, which predicts theta, is always `theta`: `st1.localiser.theta.weight`. The i-th of several branches is `branches1.branch2.conv1`, what the i-th parallel transformer's
//! output goes through `parallel_st1.each2.conv1`. Batch normalisation saves `.running_mean` and `.running_var` beside its weight and bias.

pub mod error;
pub mod gradients;
mod initialisation;
pub mod network;
pub mod optimizer;
pub mod plan;
mod reading;
pub mod schedule;
pub mod spec;

pub use error::{Error, Result};
pub use gradients::Gradients;
pub use initialisation::Initialisation;
pub use network::{Buffer, Mode, Network, Outcome, Parameter, Recorded, Warp};
pub use optimizer::{Optimizer, OptimizerSpec};
pub use plan::{Ending, LayerLine, Plan};
pub use schedule::ScheduleSpec;
pub use spec::{NetworkSpec, WeightsSpec};
pub use stn_ops::Gradient;
