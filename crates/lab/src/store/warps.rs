//! `warps.parquet`: what each spatial transformer did to some test images, and `thetas.parquet`: the parameters alone, at every evaluation.

use candle_core::{DType, IndexOp, Tensor};
use polars::prelude::{Column, DataFrame, DataType, IntoSeries, ListBuilderTrait, ListPrimitiveChunkedBuilder, ListStringChunkedBuilder, NamedFrom, Series};
use polars::prelude::{Float32Type, Float64Type, Int64Type, PolarsNumericType};

use crate::Result;

/// One row: a moment of the training, an image and a step of a transformer.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Training steps done.
    pub trained: u64,
    pub sample: i64,
    pub layer: String,
    pub step: i64,
    pub class: i64,
    pub predicted: i64,
    pub theta: Vec<f64>,
    pub theta_names: Vec<String>,
    pub input: Image,
    pub grid: Image,
    pub output: Image,
}

/// Numbers of a tensor, row-major, with its shape.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    values: Vec<f32>,
    shape: Vec<i64>,
}

impl Image {
    /// One sample of a batch.
    pub fn of(batch: &Tensor, sample: usize) -> Result<Self> {
        let one = batch.i(sample)?;
        Ok(Self { shape: one.dims().iter().map(|n| *n as i64).collect(), values: one.to_dtype(DType::F32)?.flatten_all()?.to_vec1()? })
    }
}

impl Row {
    /// The numbers of its images.
    pub fn numbers(&self) -> usize {
        [&self.input, &self.grid, &self.output].iter().map(|image| image.values.len()).sum()
    }
}

/// The rows as a table of warps.
pub(crate) fn frame(rows: &[Row]) -> Result<DataFrame> {
    let values = |name: &str, of: &dyn Fn(&Row) -> &Image| lists::<Float32Type>(name, DataType::Float32, rows.iter().map(|row| of(row).values.as_slice()));
    let shapes = |name: &str, of: &dyn Fn(&Row) -> &Image| lists::<Int64Type>(name, DataType::Int64, rows.iter().map(|row| of(row).shape.as_slice()));
    let mut columns = parameters(rows);
    columns.extend([
        values("input", &|row| &row.input),
        shapes("input_shape", &|row| &row.input),
        values("grid", &|row| &row.grid),
        shapes("grid_shape", &|row| &row.grid),
        values("output", &|row| &row.output),
        shapes("output_shape", &|row| &row.output),
    ]);
    Ok(DataFrame::new_infer_height(columns)?)
}

/// The rows as a table of thetas: without images.
pub(crate) fn thetas(rows: &[Row]) -> Result<DataFrame> {
    Ok(DataFrame::new_infer_height(parameters(rows))?)
}

fn parameters(rows: &[Row]) -> Vec<Column> {
    let integers = |name: &str, of: &dyn Fn(&Row) -> i64| Column::from(Series::new(name.into(), rows.iter().map(of).collect::<Vec<_>>()));
    vec![
        integers("trained", &|row| row.trained as i64),
        integers("sample", &|row| row.sample),
        Series::new("layer".into(), rows.iter().map(|row| row.layer.as_str()).collect::<Vec<_>>()).into(),
        integers("step", &|row| row.step),
        integers("class", &|row| row.class),
        integers("predicted", &|row| row.predicted),
        lists::<Float64Type>("theta", DataType::Float64, rows.iter().map(|row| row.theta.as_slice())),
        names(rows),
    ]
}

fn lists<'a, T: PolarsNumericType>(name: &str, kind: DataType, rows: impl ExactSizeIterator<Item = &'a [T::Native]>) -> Column {
    let mut builder = ListPrimitiveChunkedBuilder::<T>::new(name.into(), rows.len(), 0, kind);
    rows.for_each(|row| builder.append_slice(row));
    builder.finish().into_series().into()
}

fn names(rows: &[Row]) -> Column {
    let mut builder = ListStringChunkedBuilder::new("theta_names".into(), rows.len(), 0);
    for row in rows {
        builder.append_values_iter(row.theta_names.iter().map(String::as_str));
    }
    builder.finish().into_series().into()
}
