use std::sync::Mutex;

use super::*;
use crate::kind::street::statistics::Statistics;
use crate::kind::svhn::{Crop, Digit, Sequence};
use stn_core::stream::stream;

fn shown(layout: &Layout, crop: Crop, key: u64) -> Vec<f32> {
    let window = crop.window(&layout.number, layout.photograph).unwrap();
    let mut values = vec![0.0; 3 * crop.size * crop.size];
    photograph(layout, window, crop.size, &mut stream(0, "test", key), &mut values).unwrap();
    values
}

/// One digit, its box 20 x 40 from (40, 30).
fn one(value: u8) -> Layout {
    let number = Sequence::new(&[Digit { value, bounds: Bounds { left: 40.0, top: 30.0, width: 20.0, height: 40.0 } }]).unwrap();
    Layout { photograph: (100, 100), number, height: 40.0, slope: 0.0 }
}

#[test]
fn digits_stand_in_their_boxes() {
    // Where pictures of a 1 and of an 8 that are otherwise alike differ, there is ink.
    let (mut inside, mut outside) = (0.0, 0.0);
    for key in 0..40 {
        let (ones, eights) = (shown(&one(1), Crop::LOOSE, key), shown(&one(8), Crop::LOOSE, key));
        for (index, (a, b)) in ones.iter().zip(&eights).enumerate() {
            // The box is from 0.31 to 0.69 of the side.
            let within = |place: usize| (0.29..0.71).contains(&(place as f32 / 128.0));
            let sum = if within(index % 128) && within(index / 128 % 128) { &mut inside } else { &mut outside };
            *sum += (a - b).abs();
        }
    }
    assert!(inside > 4.0 * outside, "{inside} {outside}");
}

#[test]
fn a_number_can_be_told_from_its_wall() {
    let statistics = Statistics::fitted().unwrap();
    let mut plain = 0;
    for key in 0..100 {
        let layout = statistics.draw(&mut stream(1, "test", key));
        let values = shown(&layout, Crop::TIGHT, key);
        let (low, high) = values[4096..2 * 4096].iter().fold((1.0_f32, 0.0_f32), |(low, high), value| (low.min(*value), high.max(*value)));
        plain += i32::from(high - low < 0.06);
    }
    assert!(plain <= 3, "{plain} of 100 pictures are plain");
}

#[test]
fn pictures_are_the_same_on_any_thread() {
    let statistics = Statistics::fitted().unwrap();
    let draw = |key| shown(&statistics.draw(&mut stream(1, "test", key)), Crop::TIGHT, key);
    let here: Vec<Vec<f32>> = (0..8).map(draw).collect();
    let there = Mutex::new(vec![Vec::new(); 8]);
    std::thread::scope(|scope| {
        for key in (0..8).rev() {
            let there = &there;
            scope.spawn(move || there.lock().unwrap()[key as usize] = draw(key));
        }
    });
    assert_eq!(here, *there.lock().unwrap());
}
