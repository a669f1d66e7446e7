//! What a network gives for images, as arrays and as a table.

use std::path::Path;

use candle_core::{D, DType, IndexOp, Tensor};
use polars::prelude::{Column, NamedFrom, PlSmallStr, Series};
use stn_nn::Outcome;

use crate::store::frame;
use crate::{Error, Result};

/// What a network gives for N images.
#[derive(Debug, Clone)]
pub struct Predictions {
    /// What the network ends in: the logits, N x C, or N x H x C of H labels an image; of a network that ends in images N x C x H x W.
    pub logits: Tensor,
    /// The class with the largest logit, u32: N, or N x H of H labels an image. `None` of a network that ends in images.
    pub predicted: Option<Tensor>,
    /// What every transformer did, in the order of computation; of one that is applied in several steps the composed warp.
    pub warps: Vec<PredictedWarp>,
}

/// What a transformer did to N images.
#[derive(Debug, Clone)]
pub struct PredictedWarp {
    /// The transformer's name: `st1`, `parallel_st1.2`.
    pub layer: String,
    /// The name of each number of theta.
    pub theta_names: Vec<String>,
    /// N x the length of theta.
    pub theta: Tensor,
    /// What came out of it, N x C x H x W or N x C x D x H x W.
    pub output: Tensor,
}

impl Predictions {
    /// Joins what batches gave, one batch at least. `heads` is the number of labels of an image, where the network names classes.
    pub(super) fn join(outcomes: Vec<Outcome>, heads: Option<usize>) -> Result<Self> {
        let Some(first) = outcomes.first() else { return Err(Error::Other("there are no images".into())) };
        let all = |of: &dyn Fn(&Outcome) -> Result<Tensor>| Ok::<_, Error>(Tensor::cat(&outcomes.iter().map(of).collect::<Result<Vec<_>>>()?, 0)?);
        let mut logits = all(&|outcome| Ok(outcome.logits.clone()))?;
        if let Some(heads) = heads.filter(|heads| *heads > 1) {
            logits = logits.reshape((logits.dim(0)?, heads, ()))?;
        }
        // Where the next warp is one of the same transformer, this one is a step on the way to it.
        let last = |i: &usize| first.warps.get(i + 1).is_none_or(|next| next.layer != first.warps[*i].layer);
        let warp = |i: usize| {
            let images = |outcome: &Outcome| outcome.warps[i].output.clone().ok_or_else(|| Error::Other(format!("{} gave no images", first.warps[i].layer)));
            let (theta, output) = (all(&|outcome| Ok(outcome.warps[i].theta.clone()))?, all(&images)?);
            Ok(PredictedWarp { layer: first.warps[i].layer.clone(), theta_names: first.warps[i].theta_names.clone(), theta, output })
        };
        let warps = (0..first.warps.len()).filter(last).map(warp).collect::<Result<_>>()?;
        let predicted = heads.map(|_| logits.argmax(D::Minus1)).transpose()?;
        Ok(Self { logits, predicted, warps })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.logits.dims().first().copied().unwrap_or(0)
    }

    /// Whether there are none; there always are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many images are named wrongly, in one label at least. `labels`: N x H.
    ///
    /// # Errors
    ///
    /// Where there are no predictions or other images.
    pub fn wrong(&self, labels: &Tensor) -> Result<usize> {
        let Some(predicted) = &self.predicted else { return Err(Error::Other("this network names no classes".into())) };
        let (named, labels) = (predicted.reshape((self.len(), ()))?.to_vec2::<u32>()?, labels.to_vec2::<u32>()?);
        Ok(named.iter().zip(&labels).filter(|(named, labels)| named != labels).count())
    }

    /// Everything as arrays by name: `logits`, `predicted`, and for every transformer `LAYER.theta` and `LAYER.output`.
    pub fn arrays(&self) -> Vec<(String, Tensor)> {
        let named = self.predicted.iter().map(|predicted| ("predicted".to_owned(), predicted.clone()));
        let warps =
            self.warps.iter().flat_map(|warp| [(format!("{}.theta", warp.layer), warp.theta.clone()), (format!("{}.output", warp.layer), warp.output.clone())]);
        [("logits".to_owned(), self.logits.clone())].into_iter().chain(named).chain(warps).collect()
    }

    /// Writes a row an image as Parquet; `labels`, N x H, where they are known.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub fn write_parquet(&self, path: &Path, labels: Option<&Tensor>) -> Result<()> {
        let mut columns = vec![Column::from(Series::new("sample".into(), (0..self.len() as i64).collect::<Vec<_>>()))];
        if let Some(labels) = labels {
            columns.push(self.classes("class", &labels.reshape((self.len(), ()))?)?);
        }
        if let Some(predicted) = &self.predicted {
            columns.push(self.classes("predicted", &predicted.reshape((self.len(), ()))?)?);
        }
        columns.push(self.numbers("logits", &self.logits)?);
        for warp in &self.warps {
            let named = |part: &str| format!("{}.{part}", warp.layer);
            let theta = warp.theta.to_dtype(DType::F64)?.to_vec2::<f64>()?;
            columns.push(lists(&named("theta"), theta, Series::new));
            columns.push(lists(&named("theta_names"), vec![&warp.theta_names; self.len()], Series::new));
            columns.push(self.numbers(&named("output"), &warp.output)?);
            let shape: Vec<i64> = warp.output.dims().iter().skip(1).map(|side| *side as i64).collect();
            columns.push(lists(&named("output_shape"), vec![shape; self.len()], Series::new));
        }
        frame::write(path, columns)
    }

    /// A class an image, or a list of them where it has several labels.
    fn classes(&self, name: &str, classes: &Tensor) -> Result<Column> {
        let rows: Vec<Vec<i64>> = classes.to_dtype(DType::I64)?.to_vec2()?;
        Ok(match rows.first().map_or(1, Vec::len) {
            1 => Series::new(name.into(), rows.concat()).into(),
            _ => lists(name, rows, Series::new),
        })
    }

    /// The numbers of each image in a row.
    fn numbers(&self, name: &str, batch: &Tensor) -> Result<Column> {
        let rows = (0..self.len()).map(|i| Ok(batch.i(i)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?)).collect::<Result<Vec<_>>>()?;
        Ok(lists(name, rows, Series::new))
    }
}

/// A column of lists: of what `list` makes of each row.
fn lists<R>(name: &str, rows: Vec<R>, list: impl Fn(PlSmallStr, R) -> Series) -> Column {
    let rows: Vec<Series> = rows.into_iter().map(|row| list("".into(), row)).collect();
    Series::new(name.into(), rows).into()
}
