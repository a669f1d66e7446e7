//! `stn predict`: a trained trial at work on images.

use stn_core::Registry;
use stn_lab::TrainedTrial;

use crate::arguments::Predict;
use crate::terminal::answer;
use crate::{Failure, images};

pub(crate) fn run(arguments: &Predict, registry: &Registry) -> Result<(), Failure> {
    let ending = arguments.out.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if !["parquet", "npz"].contains(&ending) {
        return Err(Failure::Message(format!("{}: predictions are written as .parquet or .npz", arguments.out.display())));
    }
    let trial = TrainedTrial::open(&arguments.trial).map_err(Failure::message)?;
    let limit = arguments.limit.map(|limit| limit as usize);
    let (inputs, labels) = match &arguments.images {
        Some(path) => {
            let all = images::read(path)?;
            let count = all.dims().first().copied().unwrap_or(0);
            (all.narrow(0, 0, limit.unwrap_or(count).min(count)).map_err(|error| Failure::Message(format!("{}: {error}", path.display())))?, None)
        }
        None => trial.test_images(limit, registry).map(|(images, labels)| (images, Some(labels))).map_err(Failure::message)?,
    };
    let named = |error: stn_lab::Error| match &arguments.images {
        Some(path) => Failure::Message(format!("{}: {error}", path.display())),
        None => Failure::message(error),
    };
    let predictions = trial.predict(&inputs, registry).map_err(named)?;
    if ending == "npz" {
        // The images of the data set itself are nowhere else as the network sees them.
        let own = labels.iter().flat_map(|labels| [("images".to_owned(), inputs.clone()), ("labels".to_owned(), labels.clone())]);
        images::write(&arguments.out, &own.chain(predictions.arrays()).collect::<Vec<_>>())?;
    } else {
        predictions.write_parquet(&arguments.out, labels.as_ref()).map_err(Failure::message)?;
    }
    let error = labels.as_ref().filter(|_| predictions.predicted.is_some()).map(|labels| predictions.wrong(labels)).transpose().map_err(Failure::message)?;
    let error = error.map(|wrong| format!(", {wrong} of them wrong ({:.2} %)", 100.0 * wrong as f64 / predictions.len() as f64)).unwrap_or_default();
    answer(format!("{} images{error}: {}", predictions.len(), arguments.out.display()));
    Ok(())
}
