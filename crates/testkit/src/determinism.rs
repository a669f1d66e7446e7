//! The same bits at any number of threads.

use candle_core::{Result, Tensor};

use crate::mismatch::{Outcome, expect};
use crate::values::{numbers, place};

/// The numbers of threads tried: one, the least that share work, and one that divides nothing evenly.
const THREADS: [usize; 3] = [1, 2, 5];

/// Checks that `f` gives the same bits with 1, 2 and 5 rayon threads, and when it runs again.
///
/// ```
/// let x = stn_testkit::uniform("x", (4, 5), -1.0, 1.0);
/// stn_testkit::same_bits(|| Ok(vec![x.sqr()?, x.sum(0)?]));
/// ```
///
/// # Panics
///
/// Where `f` fails or a bit differs: names the output, the element and the number of threads.
#[track_caller]
pub fn same_bits(f: impl Fn() -> Result<Vec<Tensor>> + Sync) {
    if let Err(mismatch) = compare(f) {
        panic!("{mismatch}");
    }
}

pub(crate) fn compare(f: impl Fn() -> Result<Vec<Tensor>> + Sync) -> Outcome {
    let run = |threads: usize| -> Outcome<Vec<Tensor>> { Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?.install(&f)?) };
    let reference = run(THREADS[0])?;
    for threads in THREADS {
        let outputs = run(threads)?;
        expect(outputs.len() == reference.len(), || format!("{} outputs with {threads} threads, {} with 1", outputs.len(), reference.len()))?;
        for (i, (output, wanted)) in outputs.iter().zip(&reference).enumerate() {
            expect(output.dims() == wanted.dims(), || format!("output {i} is {:?} with {threads} threads, {:?} with 1", output.dims(), wanted.dims()))?;
            let (found, expected) = (numbers(output)?, numbers(wanted)?);
            let different = (0..found.len()).find(|&j| found[j].to_bits() != expected[j].to_bits());
            expect(different.is_none(), || {
                let j = different.unwrap_or_default();
                format!("output {i} at {:?} is {:?} with {threads} threads, {:?} with 1", place(j, output.dims()), found[j], expected[j])
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_pure_function_passes() {
        let x = crate::uniform("x", (3, 4), -1.0, 1.0);
        same_bits(|| Ok(vec![x.exp()?]));
    }

    #[test]
    fn a_number_that_depends_on_the_threads_is_found() {
        let found = compare(|| Ok(vec![Tensor::new(&[0.0, rayon::current_num_threads() as f64], &Device::Cpu)?])).unwrap_err().to_string();
        assert_eq!(found, "output 0 at [1] is 2.0 with 2 threads, 1.0 with 1");
    }

    #[test]
    fn a_number_that_depends_on_the_run_is_found() {
        let count = AtomicU32::new(0);
        assert!(compare(|| Ok(vec![Tensor::new(&[count.fetch_add(1, Ordering::Relaxed)], &Device::Cpu)?])).is_err());
    }
}
