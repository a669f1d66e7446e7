//! The state of training as tensors and texts, and back, to the bit.

use super::guard::Largest;
use super::recordings::Recordings;
use super::state::{Interval, TrainingState};
use crate::store::metrics;
use crate::store::tensors::Tensors;
use crate::{Error, Result};

/// What a state of this layout is called; another is not read.
const LAYOUT: &str = "2";

impl TrainingState {
    /// Everything that the next steps follow from.
    pub fn save(&self) -> Result<Tensors> {
        let mut saved = Tensors::default();
        saved.texts.insert("layout".into(), LAYOUT.into());
        // Copies are made where the bytes are: nothing changes in between.
        saved.put_below("network", self.network.tensors());
        saved.put_below("optimizer", self.optimizer.state()?);
        let Interval { steps, loss, images, wrong } = self.interval;
        let (stopped, due) = (i64::from(self.stopped), i64::from(self.evaluation_due));
        saved.put("counters", &[self.step as i64, stopped, due, steps as i64, images as i64, wrong as i64])?;
        saved.put("sums", &[self.lr, loss])?;
        saved.put("rows/step", &self.rows.iter().map(|row| row.step as i64).collect::<Vec<_>>())?;
        saved.put("rows/test", &self.rows.iter().map(|row| u8::from(row.split == metrics::TEST)).collect::<Vec<_>>())?;
        for (name, number) in numbers_of_rows() {
            saved.put(name, &self.rows.iter().map(number).collect::<Vec<_>>())?;
        }
        if let Some(stopper) = &self.stopper {
            let (best, worse) = stopper.held();
            saved.put("stopper/best", &[best])?;
            saved.put("stopper/worse", &[worse as i64])?;
        }
        if let Some(loss) = self.guard.last_loss {
            saved.put("guard/loss", &[loss])?;
        }
        if let Some(Largest { theta, layer, step }) = &self.guard.last_theta {
            saved.put("guard/theta", &[*theta])?;
            saved.put("guard/step", &[*step as i64])?;
            saved.texts.insert("guard/layer".into(), layer.clone());
        }
        self.recordings.save(&mut saved)?;
        self.timing.save(&mut saved)?;
        Ok(saved)
    }

    /// Goes on from a saved state. The state may be half changed after an error.
    pub fn load(&mut self, saved: &Tensors) -> Result<()> {
        if saved.texts.get("layout").map(String::as_str) != Some(LAYOUT) {
            return Err(Error::Other("the checkpoint is of another version of this program".into()));
        }
        self.network.load(&saved.below("network"))?;
        self.optimizer.load_state(&saved.below("optimizer"))?;
        let [step, stopped, due, steps, images, wrong] = saved.numbers::<i64, 6>("counters")?.map(i64::unsigned_abs);
        let [lr, loss] = saved.numbers("sums")?;
        (self.step, self.stopped, self.evaluation_due, self.lr) = (step, stopped != 0, due != 0, lr);
        self.interval = Interval { steps, loss, images, wrong };
        self.rows = rows(saved)?;
        if let Some(stopper) = &mut self.stopper {
            let ([best], [worse]) = (saved.numbers("stopper/best")?, saved.numbers::<i64, 1>("stopper/worse")?);
            stopper.hold(best, worse.unsigned_abs());
        }
        self.guard.last_loss = saved.numbers::<f64, 1>("guard/loss").ok().map(|[loss]| loss);
        let theta = saved.numbers::<f64, 1>("guard/theta").ok().zip(saved.texts.get("guard/layer"));
        self.guard.last_theta = match theta {
            Some(([theta], layer)) => Some(Largest { theta, layer: layer.clone(), step: saved.numbers::<i64, 1>("guard/step")?[0].unsigned_abs() }),
            None => None,
        };
        self.recordings = Recordings::load(saved)?;
        self.timing.load(saved)
    }
}

/// A number of a row.
type Number = fn(&metrics::Row) -> f64;

/// The columns of rows that are numbers.
fn numbers_of_rows() -> [(&'static str, Number); 3] {
    [("rows/loss", |row| row.loss), ("rows/error", |row| row.error), ("rows/lr", |row| row.lr)]
}

fn rows(saved: &Tensors) -> Result<Vec<metrics::Row>> {
    let (steps, tests) = (saved.row::<i64>("rows/step")?, saved.row::<u8>("rows/test")?);
    let [losses, errors, lrs] = numbers_of_rows().map(|(name, _)| saved.row::<f64>(name));
    let (losses, errors, lrs) = (losses?, errors?, lrs?);
    let lengths = [tests.len(), losses.len(), errors.len(), lrs.len()];
    if lengths.iter().any(|length| *length != steps.len()) {
        return Err(Error::Other("the rows of the checkpoint are not of one length".into()));
    }
    let split = |i: usize| if tests[i] == 1 { metrics::TEST } else { metrics::TRAIN };
    let row = |i: usize| metrics::Row { step: steps[i].unsigned_abs(), split: split(i), loss: losses[i], error: errors[i], lr: lrs[i] };
    Ok((0..steps.len()).map(row).collect())
}
