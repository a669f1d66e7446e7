//! What trials recorded besides facts and metrics: classes taken for others, and parameters of transformations over the training. Read only of the trials that are drawn.

use super::{Trial, Warp, scan_sound, warps};
use crate::error::{BadFile, Result};
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
pub fn worst(trial: &Trial, bad: &mut Vec<BadFile>) -> Result<Vec<Wrong>> {
    let path = trial.folder.join("worst.parquet");
    let warps = warps(path.clone(), bad)?;
    if warps.is_empty() {
        return Ok(Vec::new());
    }
    let lists = ["classes", "predictions"].map(|name| col(name).cast(DataType::List(Box::new(DataType::Int64))));
    let columns: Vec<Expr> = [col("loss").cast(DataType::Float64)].into_iter().chain(lists).collect();
    let Some(frame) = scan_sound(&[path], &columns, &[], bad)? else { return Ok(Vec::new()) };
    let (losses, classes, predictions) = (frame.column("loss")?.f64()?, frame.column("classes")?.list()?, frame.column("predictions")?.list()?);
    let whole = |lists: &ListChunked, row: usize| -> PolarsResult<Vec<i64>> {
        lists.get_as_series(row).map_or(Ok(Vec::new()), |list| Ok(list.i64()?.iter().map(Option::unwrap_or_default).collect()))
    };
    let mut images: Vec<Wrong> = Vec::new();
    for (row, warp) in warps.into_iter().enumerate() {
        match images.last_mut().filter(|image| image.warps.first().is_some_and(|first| first.sample == warp.sample)) {
            Some(image) => image.warps.push(warp),
            None => images.push(Wrong {
                loss: losses.get(row).unwrap_or(f64::NAN),
                classes: whole(classes, row)?,
                predictions: whole(predictions, row)?,
                warps: vec![warp],
            }),
        }
    }
    Ok(images)
}

/// Reads what a trial took for what, all labels of an image together; empty where it has no such file.
pub fn confusion(trial: &Trial, bad: &mut Vec<BadFile>) -> Result<Vec<Confused>> {
    let path = trial.folder.join("confusion.parquet");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let columns = ["class", "predicted", "images"].map(|name| col(name).cast(DataType::Int64));
    let Some(frame) = scan_sound(&[path], &columns, &[], bad)? else { return Ok(Vec::new()) };
    let (class, predicted, images) = (frame.column("class")?.i64()?, frame.column("predicted")?.i64()?, frame.column("images")?.i64()?);
    let rows = class.iter().zip(predicted.iter()).zip(images.iter());
    Ok(rows.filter_map(|((class, predicted), images)| Some(Confused { class: class?, predicted: predicted?, images: images? })).collect())
}

/// Reads the parameters over the training of one trial; empty where it has no such file, or no transformer.
pub fn thetas(trial: &Trial, bad: &mut Vec<BadFile>) -> Result<Vec<Theta>> {
    let path = trial.folder.join("thetas.parquet");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let whole = ["trained", "sample", "step", "class"].map(|name| col(name).cast(DataType::Int64));
    let rest = [
        col("layer").cast(DataType::String),
        col("theta").cast(DataType::List(Box::new(DataType::Float64))),
        col("theta_names").cast(DataType::List(Box::new(DataType::String))),
    ];
    let columns: Vec<Expr> = whole.into_iter().chain(rest).collect();
    let Some(frame) = scan_sound(&[path], &columns, &[], bad)? else { return Ok(Vec::new()) };
    let int = |name: &str| -> PolarsResult<Vec<i64>> { Ok(frame.column(name)?.i64()?.iter().map(Option::unwrap_or_default).collect()) };
    let (trained, sample, step, class) = (int("trained")?, int("sample")?, int("step")?, int("class")?);
    let (layer, theta, names) = (frame.column("layer")?.str()?, frame.column("theta")?.list()?, frame.column("theta_names")?.list()?);
    let mut read = Vec::with_capacity(frame.height());
    for row in 0..frame.height() {
        let values = theta.get_as_series(row).map_or(Ok(Vec::new()), |s| Ok::<_, PolarsError>(s.f64()?.iter().map(|v| v.unwrap_or(f64::NAN)).collect()))?;
        let names = names
            .get_as_series(row)
            .map_or(Ok(Vec::new()), |s| Ok::<_, PolarsError>(s.str()?.iter().map(|name| name.unwrap_or_default().to_string()).collect::<Vec<_>>()))?;
        let layer = layer.get(row).unwrap_or_default().to_string();
        read.push(Theta { trained: trained[row], sample: sample[row], layer, step: step[row], class: class[row], values, names });
    }
    Ok(read)
}
