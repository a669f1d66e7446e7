//! What trials recorded besides facts and metrics: classes taken for others, and parameters of transformations over the training. Read only of the trials that are drawn.

use super::columns::{list_at, one, wanted};
use super::{Trial, Warp, warps};
use crate::error::BadFile;
use polars::prelude::*;

/// A class that was taken for a class, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confused {
    /// The class.
    pub class: i64,
    /// What it was taken for; -1 where nothing was found.
    pub predicted: i64,
    /// Images of the whole test part.
    pub images: i64,
}

/// The parameters that a transformer chose for one test image at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Theta {
    /// Training steps done.
    pub trained: i64,
    /// Index of the image in the test set.
    pub sample: i64,
    /// Name of the transformer's layer.
    pub layer: String,
    /// How many times the transformer had been applied.
    pub step: i64,
    /// Class of the image.
    pub class: i64,
    /// The parameters.
    pub values: Vec<f64>,
    /// What they are called.
    pub names: Vec<String>,
}

/// A test image that was misread, and what the transformers did to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrong {
    /// How far it is from right.
    pub loss: f64,
    /// The class of every label.
    pub classes: Vec<i64>,
    /// What each was taken for; -1 where nothing was found.
    pub predictions: Vec<i64>,
    /// A warp a transformer and step.
    pub warps: Vec<Warp>,
}

/// Reads the images that a trial misread with the largest losses, worst first; empty where it has no such file.
pub fn worst(trial: &Trial, bad: &mut Vec<BadFile>) -> Vec<Wrong> {
    let path = trial.folder.join("worst.parquet");
    let warps = warps(&path, bad);
    if warps.is_empty() {
        return Vec::new();
    }
    let lists = wanted(["classes", "predictions"], &DataType::List(Box::new(DataType::Int64)));
    let columns: Vec<_> = wanted(["loss"], &DataType::Float64).into_iter().chain(lists).collect();
    let images = one(&path, &columns, bad, |frame| {
        let (losses, classes, predictions) = (frame.column("loss")?.f64()?, frame.column("classes")?.list()?, frame.column("predictions")?.list()?);
        let whole = |lists: &ListChunked, row: usize| list_at(lists, row, |list| Ok(list.i64()?.iter().map(Option::unwrap_or_default).collect()));
        let image = |(row, warp): (usize, &Warp)| -> PolarsResult<Wrong> {
            let loss = losses.get(row).unwrap_or(f64::NAN);
            Ok(Wrong { loss, classes: whole(classes, row)?, predictions: whole(predictions, row)?, warps: vec![warp.clone()] })
        };
        warps.iter().enumerate().map(image).collect::<PolarsResult<Vec<_>>>()
    });
    together(images.unwrap_or_default())
}

/// The warps of an image stand in rows one after the other.
fn together(rows: Vec<Wrong>) -> Vec<Wrong> {
    let mut images: Vec<Wrong> = Vec::new();
    for row in rows {
        match images.last_mut().filter(|image| image.warps[0].sample == row.warps[0].sample) {
            Some(image) => image.warps.extend(row.warps),
            None => images.push(row),
        }
    }
    images
}

/// Reads what a trial took for what, all labels of an image together; empty where it has no such file.
pub fn confusion(trial: &Trial, bad: &mut Vec<BadFile>) -> Vec<Confused> {
    let path = trial.folder.join("confusion.parquet");
    if !path.is_file() {
        return Vec::new();
    }
    let read = one(&path, &wanted(["class", "predicted", "images"], &DataType::Int64), bad, |frame| {
        let (class, predicted, images) = (frame.column("class")?.i64()?, frame.column("predicted")?.i64()?, frame.column("images")?.i64()?);
        let rows = class.iter().zip(predicted.iter()).zip(images.iter());
        Ok(rows.filter_map(|((class, predicted), images)| Some(Confused { class: class?, predicted: predicted?, images: images? })).collect())
    });
    read.unwrap_or_default()
}

/// Reads the parameters over the training of one trial; empty where it has no such file, or no transformer.
pub fn thetas(trial: &Trial, bad: &mut Vec<BadFile>) -> Vec<Theta> {
    let path = trial.folder.join("thetas.parquet");
    if !path.is_file() {
        return Vec::new();
    }
    let whole = wanted(["trained", "sample", "step", "class"], &DataType::Int64).into_iter();
    let rest = [
        wanted(["layer"], &DataType::String),
        wanted(["theta"], &DataType::List(Box::new(DataType::Float64))),
        wanted(["theta_names"], &DataType::List(Box::new(DataType::String))),
    ];
    let columns: Vec<_> = whole.chain(rest.into_iter().flatten()).collect();
    one(&path, &columns, bad, thetas_of).unwrap_or_default()
}

/// The parameters that the rows of a file say.
fn thetas_of(frame: &DataFrame) -> PolarsResult<Vec<Theta>> {
    let int = |name: &str| -> PolarsResult<Vec<i64>> { Ok(frame.column(name)?.i64()?.iter().map(Option::unwrap_or_default).collect()) };
    let (trained, sample, step, class) = (int("trained")?, int("sample")?, int("step")?, int("class")?);
    let (layer, theta, names) = (frame.column("layer")?.str()?, frame.column("theta")?.list()?, frame.column("theta_names")?.list()?);
    let of_row = |row: usize| {
        let values = list_at(theta, row, |list| Ok(list.f64()?.iter().map(|v| v.unwrap_or(f64::NAN)).collect()))?;
        let names = list_at(names, row, |list| Ok(list.str()?.iter().map(|name| name.unwrap_or_default().to_string()).collect()))?;
        let layer = layer.get(row).unwrap_or_default().to_string();
        Ok(Theta { trained: trained[row], sample: sample[row], layer, step: step[row], class: class[row], values, names })
    };
    (0..frame.height()).map(of_row).collect()
}
