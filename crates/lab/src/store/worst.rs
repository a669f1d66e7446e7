//! `worst.parquet`: what each spatial transformer did to the test images that are wrong by most.

use polars::prelude::{Column, DataFrame, DataType, Int64Type, NamedFrom, Series};

use super::warps::{self, Row, lists};
use crate::Result;

/// A test image that was judged wrongly.
#[derive(Debug, Clone)]
pub(crate) struct Misread {
    /// How far it is from right: see `Judge::losses`.
    pub loss: f64,
    /// The class of each label, and the class given to it; -1 where none is.
    pub named: Vec<(u32, i64)>,
    /// A row a transformer and step.
    pub rows: Vec<Row>,
}

impl Misread {
    /// The image's index in the test part.
    pub fn sample(&self) -> i64 {
        self.rows.first().map_or(-1, |row| row.sample)
    }
}

/// The images as a table in their order: the columns of warps, and how each was wrong.
pub(crate) fn frame(images: Vec<Misread>) -> Result<DataFrame> {
    let (mut rows, mut losses, mut classes, mut predictions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Misread { loss, named, rows: of_image } in images {
        for row in of_image {
            rows.push(row);
            losses.push(loss);
            classes.push(named.iter().map(|(class, _)| i64::from(*class)).collect::<Vec<_>>());
            predictions.push(named.iter().map(|(_, predicted)| *predicted).collect::<Vec<_>>());
        }
    }
    let mut columns = warps::frame(&rows)?.into_columns();
    let whole = |name: &str, values: &[Vec<i64>]| lists::<Int64Type>(name, DataType::Int64, values.iter().map(Vec::as_slice));
    columns.extend([Column::from(Series::new("loss".into(), losses)), whole("classes", &classes), whole("predictions", &predictions)]);
    Ok(DataFrame::new_infer_height(columns)?)
}
