//! The worst images of a trial, made up from the warps in a [`Fixture`](super::fixture::Fixture)'s folder.

use super::fixture::save;
use polars::prelude::*;
use std::fs::File;
use std::path::Path;

/// The second image of each digit, misread: the first as two digits, so that there is an image with two labels.
pub fn worst(folder: &Path) {
    let end = ParquetReader::new(File::open(folder.join("warps.parquet")).unwrap()).finish().unwrap();
    let whole = |name: &str| end.column(name).unwrap().i64().unwrap().into_no_null_iter().collect::<Vec<i64>>();
    let (samples, classes) = (whole("sample"), whole("class"));
    let second: BooleanChunked = samples.iter().map(|sample| *sample >= 10).collect();
    let mut rows = end.filter(&second).unwrap();
    let classes: Vec<i64> = classes.into_iter().zip(&samples).filter(|(_, sample)| **sample >= 10).map(|(class, _)| class).collect();
    let lists = |of: &dyn Fn(i64) -> Vec<i64>| classes.iter().map(|class| Series::new("".into(), of(*class))).collect::<Vec<_>>();
    let wrong = |class: i64| if class == 0 { vec![10, 7] } else { vec![(class + 3) % 10] };
    for column in [
        Series::new("loss".into(), classes.iter().map(|class| 12.5 - *class as f64).collect::<Vec<_>>()),
        Series::new("classes".into(), lists(&|class| if class == 0 { vec![0, 1] } else { vec![class] })),
        Series::new("predictions".into(), lists(&wrong)),
        Series::new("predicted".into(), classes.iter().map(|class| wrong(*class)[0]).collect::<Vec<_>>()),
        Series::new("trained".into(), vec![1200i64; classes.len()]),
    ] {
        rows.with_column(column.into()).unwrap();
    }
    save(&folder.join("worst.parquet"), &mut rows);
}
