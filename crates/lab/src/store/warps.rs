//! `warps.parquet`: what each spatial transformer did to some test images, and `thetas.parquet`: the parameters alone, at every evaluation.

use candle_core::{DType, IndexOp, Tensor};
use polars::prelude::{Column, DataFrame, DataType, IntoSeries, ListBuilderTrait, ListPrimitiveChunkedBuilder, ListStringChunkedBuilder, NamedFrom, Series};
use polars::prelude::{Float32Type, Float64Type, Int64Type, PolarsNumericType};

use crate::Result;

/// The most points a side that are kept of a volume's grid where it is made lighter.
const POINTS: usize = 7;

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

    /// A volume `C D H W` with the greatest of every so many voxels each way, less where they end; another as it is.
    fn coarser(&self, factor: usize) -> Self {
        let &[channels, depth, height, width] = self.shape.as_slice() else { return self.clone() };
        if factor < 2 {
            return self.clone();
        }
        let [depth, height, width] = [depth, height, width].map(|n| n as usize);
        let sides = [depth, height, width].map(|n| n.div_ceil(factor));
        let mut values = vec![f32::NEG_INFINITY; channels as usize * sides.iter().product::<usize>()];
        for (i, value) in self.values.iter().enumerate() {
            let [z, y, x] = [i / (width * height) % depth, i / width % height, i % width].map(|at| at / factor);
            let kept = &mut values[((i / (width * height * depth) * sides[0] + z) * sides[1] + y) * sides[2] + x];
            // NaN stays NaN: it is what went wrong.
            *kept = if value.is_nan() || kept.is_nan() { f32::NAN } else { kept.max(*value) };
        }
        Self { shape: [channels].into_iter().chain(sides.map(|n| n as i64)).collect(), values }
    }

    /// A grid `D H W 3` of at most so many points each way, evenly spread from end to end; another as it is.
    fn sparser(&self, most: usize) -> Self {
        let &[depth, height, width, 3] = self.shape.as_slice() else { return self.clone() };
        let spread = |n: i64| {
            let (n, kept) = (n as usize, (n as usize).min(most));
            (0..kept).map(move |i| if kept == n { i } else { (i * (n - 1) + (kept - 1) / 2) / (kept - 1) }).collect::<Vec<_>>()
        };
        let [slices, rows, columns] = [depth, height, width].map(spread);
        let mut values = Vec::with_capacity(3 * slices.len() * rows.len() * columns.len());
        for (z, y) in slices.iter().flat_map(|z| rows.iter().map(move |y| (z, y))) {
            let line = (z * height as usize + y) * width as usize;
            columns.iter().for_each(|x| values.extend_from_slice(&self.values[3 * (line + x)..3 * (line + x) + 3]));
        }
        Self { shape: [slices.len(), rows.len(), columns.len(), 3].map(|n| n as i64).into(), values }
    }
}

impl Row {
    /// The numbers of its images.
    pub fn numbers(&self) -> usize {
        [&self.input, &self.grid, &self.output].iter().map(|image| image.values.len()).sum()
    }

    /// The same of a volume in fewer numbers: of the grid no more than 7 points a side, its ends and middle among them; of every `factor` x `factor` x `factor` voxels the greatest.
    /// Of an image the same.
    pub fn lighter(&self, factor: usize) -> Self {
        Self { input: self.input.coarser(factor), grid: self.grid.sparser(POINTS), output: self.output.coarser(factor), ..self.clone() }
    }

    /// Whether it is of a volume.
    pub fn is_of_volume(&self) -> bool {
        self.grid.shape.len() == 4
    }

    #[cfg(test)]
    pub fn of_sample(sample: i64) -> Self {
        let (theta, theta_names, [input, grid, output]) = (Vec::new(), Vec::new(), [const { Image { values: Vec::new(), shape: Vec::new() } }; 3]);
        Self { trained: 0, sample, layer: "st1".into(), step: 1, class: 0, predicted: 0, theta, theta_names, input, grid, output }
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

/// A column of lists.
pub(super) fn lists<'a, T: PolarsNumericType>(name: &str, kind: DataType, rows: impl ExactSizeIterator<Item = &'a [T::Native]>) -> Column {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lighter_volume_keeps_its_greatest_values_and_the_ends_of_its_grid() {
        let volume = Image { shape: vec![1, 2, 2, 3], values: (0..12).map(|i| i as f32).collect() };
        let coarse = volume.coarser(2);
        assert_eq!((coarse.shape, coarse.values), (vec![1, 1, 1, 2], vec![10.0, 11.0]));
        let grid = Image { shape: vec![1, 1, 24, 3], values: (0..24).flat_map(|i| [i as f32; 3]).collect() };
        let sparse = grid.sparser(7);
        assert_eq!(sparse.shape, [1, 1, 7, 3]);
        assert_eq!(sparse.values.iter().step_by(3).copied().collect::<Vec<f32>>(), [0.0, 4.0, 8.0, 12.0, 15.0, 19.0, 23.0]);
        let image = Image { shape: vec![1, 2, 2], values: vec![1.0; 4] };
        assert_eq!((image.coarser(2).values.len(), image.sparser(7).values.len()), (4, 4));
    }
}
