//! What the transformers do to the shown test images while the network is trained.

use std::borrow::Cow;
use std::collections::BTreeSet;

use polars::prelude::{BooleanChunked, DataFrame, NewChunkedArray, ParquetCompression};

use crate::store::frame;
use crate::store::tensors::Tensors;
use crate::store::warps::{self, Row};
use crate::store::worst::Misread;
use crate::{Result, TrainSpec};

/// The most numbers of a moment's images.
const MOST_NUMBERS: usize = 1 << 17;

/// The most voxels each way that become one where volumes are too large.
const LEAST_DETAIL: usize = 16;

/// The most numbers of the worst images.
const MOST_OF_WORST: usize = 1 << 22;

/// The rows of the moments so far.
#[derive(Debug)]
pub(crate) struct Recordings {
    warps: DataFrame,
    thetas: DataFrame,
}

impl Recordings {
    /// Before the first moment.
    pub fn new() -> Result<Self> {
        Ok(Self { warps: warps::frame(&[])?, thetas: warps::thetas(&[])? })
    }

    /// Whether nothing was shown yet.
    pub fn are_empty(&self) -> bool {
        self.thetas.height() == 0
    }

    /// Adds what was shown at one moment: always the parameters, images where `with_images` says so and of as many images as have not too many numbers,
    /// volumes in fewer.
    pub fn add(&mut self, rows: &[Row], with_images: bool) -> Result<()> {
        self.thetas.vstack_mut(&warps::thetas(rows)?)?;
        if with_images {
            self.warps.vstack_mut(&warps::frame(within(&lighter(rows, MOST_NUMBERS), MOST_NUMBERS))?)?;
        }
        Ok(())
    }

    /// The tables of warps and of thetas, the end last. Images that the end does not show, as another of their class stood further ahead, go, and so does what was shown after the
    /// last step before.
    pub fn finish(self, end: &[Row]) -> Result<(DataFrame, DataFrame)> {
        let shown: BTreeSet<i64> = end.iter().map(|row| row.sample).collect();
        let trained = end.first().map(|row| row.trained as i64);
        let kept = |table: &DataFrame| -> Result<DataFrame> {
            let (moments, samples) = (table.column("trained")?.i64()?, table.column("sample")?.i64()?);
            let keep = moments.iter().zip(samples.iter()).map(|(moment, sample)| moment != trained && sample.is_some_and(|sample| shown.contains(&sample)));
            Ok(table.filter(&BooleanChunked::from_iter_values("keep".into(), keep))?)
        };
        Ok((kept(&self.warps)?.vstack(&warps::frame(end)?)?, kept(&self.thetas)?.vstack(&warps::thetas(end)?)?))
    }

    /// Adds both tables to what a checkpoint holds.
    pub fn save(&self, saved: &mut Tensors) -> Result<()> {
        for (name, table) in [("recordings/warps", &self.warps), ("recordings/thetas", &self.thetas)] {
            saved.put(name, &frame::to_bytes(table.clone(), ParquetCompression::Uncompressed)?)?;
        }
        Ok(())
    }

    /// The tables that a checkpoint holds.
    pub fn load(saved: &Tensors) -> Result<Self> {
        let table = |name: &str| -> Result<DataFrame> { Ok(frame::from_bytes(&saved.row::<u8>(name)?)?) };
        Ok(Self { warps: table("recordings/warps")?, thetas: table("recordings/thetas")? })
    }
}

/// The evaluations whose images are kept: those next to a 32nd, a 16th, an 8th, a quarter and half of the steps.
pub(crate) fn keeps_images(step: u64, train: &TrainSpec) -> bool {
    let every = train.evaluate_every;
    every > 0 && (1..=5).any(|halvings| ((train.steps >> halvings) + every / 2) / every * every == step)
}

/// The first images whose rows have no more numbers than `most` together. The rows of an image stand together.
fn within(rows: &[Row], most: usize) -> &[Row] {
    let mut numbers = 0;
    let mut kept = 0;
    for of_image in rows.chunk_by(|a, b| a.sample == b.sample) {
        numbers += of_image.iter().map(Row::numbers).sum::<usize>();
        if numbers > most {
            break;
        }
        kept += of_image.len();
    }
    &rows[..kept]
}

/// The rows as they are; of volumes in fewer numbers, and in as few as it takes for the first image to have no more than `most`.
fn lighter(rows: &[Row], most: usize) -> Cow<'_, [Row]> {
    let Some(first) = rows.first().filter(|row| row.is_of_volume()) else { return Cow::Borrowed(rows) };
    let of_first: Vec<&Row> = rows.iter().take_while(|row| row.sample == first.sample).collect();
    let fits = |factor: &usize| of_first.iter().map(|row| row.lighter(*factor).numbers()).sum::<usize>() <= most;
    let factor = (1..=LEAST_DETAIL).find(fits).unwrap_or(LEAST_DETAIL);
    rows.iter().map(|row| row.lighter(factor)).collect()
}

/// The worst images, of as many as have not too many numbers, volumes in fewer.
pub(crate) fn bounded(images: Vec<Misread>) -> Vec<Misread> {
    let mut left = MOST_OF_WORST;
    let lighter = |image: Misread| Misread { rows: lighter(&image.rows, MOST_OF_WORST).into_owned(), ..image };
    let fits = |image: &Misread| {
        let numbers = image.rows.iter().map(Row::numbers).sum::<usize>();
        let fits = numbers <= left;
        left = left.saturating_sub(numbers);
        fits
    };
    images.into_iter().map(lighter).take_while(fits).collect()
}
