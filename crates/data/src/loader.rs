//! Training batches, made ahead of the trainer on threads of their own.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::{Batch, Dataset, Error, Part, Result, permutation};

/// How many finished batches wait on each thread.
const AHEAD: usize = 2;

/// The training batches of a seed, in order.
///
/// The training part is visited epoch after epoch, each in a keyed order of its own, and the visits follow one another without a gap: the batch at step s holds
/// the visits from s x batch on, so that every batch is full, one may reach into the next epoch, and a batch larger than the training part visits images more
/// than once, distorted anew each time. The batch at a step is a pure function of (seed, step, batch size): neither the first step nor the number of threads
/// matters.
///
/// Thread w of n makes the steps first + w, first + w + n, ... one after another. Each is the only thread of a rayon pool of its own, so that the sampler
/// neither waits for the trainer's threads nor takes them.
#[derive(Debug)]
pub struct Loader {
    /// Finished batches of each thread.
    finished: Vec<Receiver<Result<Batch>>>,
    threads: Vec<JoinHandle<()>>,
    /// The number of batches handed out.
    taken: usize,
}

impl Loader {
    /// Starts `workers` threads on the batches of `batch` images from `first_step` on. 0 counts as 1 for both.
    ///
    /// Where a thread cannot be started, [`next`](Self::next) says so.
    pub fn new(dataset: Arc<Dataset>, batch: usize, seed: u64, first_step: u64, workers: usize) -> Self {
        let workers = workers.max(1);
        let mut loader = Self { finished: Vec::new(), threads: Vec::new(), taken: 0 };
        for worker in 0..workers {
            let (sender, receiver) = sync_channel(AHEAD);
            loader.finished.push(receiver);
            let order = Order { count: dataset.len(Part::Train), batch: batch.max(1), seed, epochs: Vec::new() };
            let mut worker = Worker { dataset: dataset.clone(), order, sender: sender.clone(), step: first_step + worker as u64, stride: workers as u64 };
            let mut thread = None;
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .spawn_handler(|rayon| {
                    thread = Some(std::thread::Builder::new().name("stn-loader".into()).spawn(|| rayon.run())?);
                    Ok(())
                })
                .build();
            loader.threads.extend(thread);
            match pool {
                // The pool lives until its only task, the worker's loop, is over.
                Ok(pool) => pool.spawn(move || worker.run()),
                Err(error) => drop(sender.send(Err(Error::Unsupported(format!("a loader thread cannot be started: {error}"))))),
            }
        }
        loader
    }

    /// The next training batch; waits where it is not ready.
    ///
    /// # Errors
    ///
    /// Where a batch could not be made, be it for a panic on the loader's thread. There is no batch after an error.
    #[expect(clippy::should_implement_trait, reason = "batches never end, so this is no iterator")]
    pub fn next(&mut self) -> Result<Batch> {
        let finished = &self.finished[self.taken % self.finished.len()];
        let batch = finished.recv().map_err(|_| Error::Unsupported("the loader has stopped after an error".into()))?;
        if batch.is_ok() {
            self.taken += 1;
        }
        batch
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // A thread that finds nobody at the other end of its channel stops.
        self.finished.clear();
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// One thread's work.
struct Worker {
    dataset: Arc<Dataset>,
    order: Order,
    sender: SyncSender<Result<Batch>>,
    step: u64,
    stride: u64,
}

impl Worker {
    fn run(&mut self) {
        loop {
            // A panic that left this loop would end the process. After it the thread stops, so nothing sees what it left half done.
            let batch = catch_unwind(AssertUnwindSafe(|| self.batch()))
                .unwrap_or_else(|panic| Err(Error::Panicked { step: self.step, message: words(panic.as_ref()) }));
            let failed = batch.is_err();
            if self.sender.send(batch).is_err() || failed {
                return;
            }
            self.step += self.stride;
        }
    }

    fn batch(&mut self) -> Result<Batch> {
        let visits = self.order.visits(self.step);
        self.dataset.prepare(Part::Train, &visits, self.order.seed)
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it stopped without a word").to_owned()
}

/// The order in which training images are visited.
struct Order {
    count: usize,
    batch: usize,
    seed: u64,
    /// The permutations used last: a batch may need two, the next one the second of them again.
    epochs: Vec<(u64, Vec<u32>)>,
}

impl Order {
    /// (index, epoch) of each image of the batch at `step`.
    fn visits(&mut self, step: u64) -> Vec<(usize, u64)> {
        let (count, batch) = (self.count as u64, self.batch as u64);
        let first = step * batch;
        (first..first + batch).map(|visit| (self.index(visit / count, (visit % count) as usize), visit / count)).collect()
    }

    fn index(&mut self, epoch: u64, place: usize) -> usize {
        let known = self.epochs.iter().position(|(e, _)| *e == epoch);
        let at = known.unwrap_or_else(|| {
            self.epochs.truncate(1);
            self.epochs.insert(0, (epoch, permutation(self.count, self.seed, "shuffle", epoch)));
            0
        });
        self.epochs[at].1[place] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DistortionSpec;
    use crate::distortion::RotationTranslationScale;

    fn dataset(count: usize, distortion: &DistortionSpec) -> Arc<Dataset> {
        let pixels = (0..count * 64).map(|i| (i * 37 % 251) as u8).collect();
        Dataset::for_test([1, 8, 8], pixels, (0..count as u32).collect(), distortion, &stn_plugins::standard().unwrap())
    }

    fn distorted(count: usize) -> Arc<Dataset> {
        dataset(count, &DistortionSpec::Rts(RotationTranslationScale { canvas: [12, 12], ..Default::default() }))
    }

    fn bits(batch: &Batch) -> (Vec<u32>, Vec<u32>, Vec<usize>) {
        let images = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
        (images, batch.labels.flatten_all().unwrap().to_vec1().unwrap(), batch.indices.clone())
    }

    #[test]
    fn batches_do_not_depend_on_threads_or_the_first_step() {
        let data = distorted(50);
        let mut reference = Loader::new(data.clone(), 7, 3, 0, 1);
        let reference: Vec<_> = (0..20).map(|_| bits(&reference.next().unwrap())).collect();
        for (first, workers) in [(0, 2), (0, 5), (9, 1), (9, 3)] {
            let mut loader = Loader::new(data.clone(), 7, 3, first as u64, workers);
            for (step, wanted) in reference.iter().enumerate().skip(first) {
                assert_eq!(&bits(&loader.next().unwrap()), wanted, "step {step}, {workers} threads from {first}");
            }
        }
    }

    #[test]
    fn every_epoch_visits_everything_once() {
        let mut loader = Loader::new(dataset(10, &DistortionSpec::None), 4, 0, 0, 2);
        let visits: Vec<usize> = (0..10).flat_map(|_| loader.next().unwrap().indices).collect();
        let epochs: Vec<Vec<usize>> = visits.chunks(10).map(<[usize]>::to_vec).collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(epochs[0], epochs[1]);
    }

    #[test]
    fn a_batch_is_the_same_as_its_images_one_by_one() {
        let data = distorted(6);
        let batch = data.batch(Part::Train, &[4, 1, 4], 2, 9).unwrap();
        for (place, index) in [4, 1, 4].into_iter().enumerate() {
            let alone = data.batch(Part::Train, &[index], 2, 9).unwrap();
            let image = batch.images.narrow(0, place, 1).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(image, alone.images.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        }
    }

    #[test]
    fn a_batch_is_the_same_on_any_number_of_threads() {
        let data = distorted(40);
        let indices: Vec<usize> = (0..40).collect();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            bits(&pool.install(|| data.batch(Part::Train, &indices, 1, 1)).unwrap())
        };
        assert_eq!(on(1), on(4));
    }

    #[test]
    fn seed_and_epoch_change_training_images_but_no_test_image() {
        let data = distorted(6);
        let at = |part, seed, epoch| bits(&data.batch(part, &[0, 1], seed, epoch).unwrap());
        assert_ne!(at(Part::Train, 0, 0), at(Part::Train, 1, 0));
        assert_ne!(at(Part::Train, 0, 0), at(Part::Train, 0, 1));
        assert_eq!(at(Part::Test, 0, 0), at(Part::Test, 1, 5));
    }

    #[test]
    fn one_image_fills_any_batch() {
        let mut loader = Loader::new(distorted(1), 5, 0, 0, 2);
        let batch = loader.next().unwrap();
        assert_eq!(batch.images.dims(), [5, 1, 12, 12]);
        assert_eq!(batch.indices, [0; 5]);
        let first = batch.images.narrow(0, 0, 1).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let second = batch.images.narrow(0, 1, 1).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_ne!(first, second, "each visit is of another epoch, so distorted anew");
    }

    #[test]
    fn dropping_a_loader_ends_its_threads() {
        let data = distorted(20);
        for taken in 0..3 {
            let mut loader = Loader::new(data.clone(), 4, 0, 0, 3);
            for _ in 0..taken {
                loader.next().unwrap();
            }
            drop(loader);
            assert_eq!(Arc::strong_count(&data), 1, "a thread still holds the data");
        }
    }

    #[test]
    fn an_error_reaches_the_trainer_and_ends_the_batches() {
        let mut loader = Loader { finished: Vec::new(), threads: Vec::new(), taken: 0 };
        let data = dataset(3, &DistortionSpec::None);
        let (sender, receiver) = sync_channel(AHEAD);
        loader.finished.push(receiver);
        // An order that visits images which are not there.
        let order = Order { count: 100, batch: 50, seed: 0, epochs: Vec::new() };
        let mut worker = Worker { dataset: data, order, sender, step: 0, stride: 1 };
        loader.threads.push(std::thread::spawn(move || worker.run()));
        assert!(loader.next().unwrap_err().to_string().starts_with("there is no image"));
        assert!(loader.next().unwrap_err().to_string().contains("has stopped"));
    }

    #[test]
    fn a_panic_reaches_the_trainer_as_an_error() {
        let mut loader = Loader::new(Dataset::panicking(&stn_plugins::standard().unwrap()), 2, 0, 5, 2);
        let error = loader.next().unwrap_err().to_string();
        assert!(error.starts_with("the batch of step 5 could not be made: deliberately."), "{error}");
        assert!(loader.next().unwrap_err().to_string().contains("has stopped"));
    }

    #[test]
    fn test_batches_cover_the_part_in_order() {
        let data = dataset(7, &DistortionSpec::None);
        let indices: Vec<Vec<usize>> = data.test_batches(3).map(|batch| batch.unwrap().indices).collect();
        assert_eq!(indices, [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(data.test_batches(0).count(), 7);
    }

    #[test]
    fn an_empty_batch_is_an_error() {
        assert!(dataset(3, &DistortionSpec::None).batch(Part::Train, &[], 0, 0).is_err());
    }
}
