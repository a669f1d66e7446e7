//! Keyed permutations: the order in which an epoch visits the training images.

use rand::RngExt;
use stn_core::stream::stream;

/// The permutation of `0..n` that belongs to (seed, purpose, index), by Fisher and Yates.
///
/// Same key, same order. `n` must fit 32 bits; a data set in memory does.
pub fn permutation(n: usize, seed: u64, purpose: &str, index: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(n).unwrap_or(u32::MAX)).collect();
    let mut random = stream(seed, purpose, index);
    for last in (1..order.len()).rev() {
        order.swap(last, random.random_range(0..=last));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_visited_once() {
        for n in [0, 1, 2, 17, 1000] {
            let mut order = permutation(n, 3, "shuffle", 5);
            order.sort_unstable();
            assert_eq!(order, (0..n as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let reference = permutation(100, 1, "shuffle", 1);
        assert_eq!(reference, permutation(100, 1, "shuffle", 1));
        for other in [permutation(100, 2, "shuffle", 1), permutation(100, 1, "split", 1), permutation(100, 1, "shuffle", 2)] {
            assert_ne!(reference, other);
        }
    }

    #[test]
    fn every_place_is_as_likely_as_another() {
        // 2,000 permutations of 5: each value falls 400 times on each place, give or take 18.
        let mut counts = [[0_i32; 5]; 5];
        for index in 0..2000 {
            for (place, value) in permutation(5, 0, "shuffle", index).into_iter().enumerate() {
                counts[place][value as usize] += 1;
            }
        }
        assert!(counts.iter().flatten().all(|count| (count - 400).abs() < 90), "{counts:?}");
    }
}
