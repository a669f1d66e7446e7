//! What is known of a house number: its digits and where they are.

/// The most digits of a house number that are told apart; longer ones are left out.
pub(crate) const MOST_DIGITS: usize = 5;

/// The class that says that there is no digit any more, after the ten digits.
pub(crate) const NO_DIGIT: u32 = 10;

/// A rectangle in an image: pixels from its upper left corner, x to the right and y down. It may stick out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Bounds {
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) width: f32,
    pub(crate) height: f32,
}

impl Bounds {
    pub(crate) fn right(&self) -> f32 {
        self.left + self.width
    }

    pub(crate) fn bottom(&self) -> f32 {
        self.top + self.height
    }

    /// The smallest rectangle around all; `None` around nothing.
    pub(crate) fn around(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        all.into_iter().reduce(|a, b| {
            let (left, top) = (a.left.min(b.left), a.top.min(b.top));
            Self { left, top, width: a.right().max(b.right()) - left, height: a.bottom().max(b.bottom()) - top }
        })
    }
}

/// One digit of a house number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Digit {
    /// 0 to 9.
    pub(crate) value: u8,
    pub(crate) bounds: Bounds,
}

/// The digits of a house number, as they are read; at most five.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Sequence {
    digits: [Option<Digit>; MOST_DIGITS],
}

impl Sequence {
    /// `None` where there are more than five digits.
    pub(crate) fn new(digits: &[Digit]) -> Option<Self> {
        let mut sequence = Self::default();
        let places = sequence.digits.get_mut(..digits.len())?;
        for (place, digit) in places.iter_mut().zip(digits) {
            *place = Some(*digit);
        }
        Some(sequence)
    }

    /// Its digits.
    pub(crate) fn digits(&self) -> impl Iterator<Item = &Digit> {
        self.digits.iter().flatten()
    }

    /// The same digits elsewhere.
    pub(crate) fn map_bounds(&self, place: impl Fn(Bounds) -> Bounds) -> Self {
        Self { digits: self.digits.map(|digit| digit.map(|digit| Digit { bounds: place(digit.bounds), ..digit })) }
    }

    /// The class of each place: its digit, or [`NO_DIGIT`] after the last one.
    pub(crate) fn classes(&self) -> [u32; MOST_DIGITS] {
        self.digits.map(|digit| digit.map_or(NO_DIGIT, |digit| u32::from(digit.value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(values: &[u8]) -> Vec<Digit> {
        values.iter().map(|&value| Digit { value, bounds: Bounds::default() }).collect()
    }

    #[test]
    fn places_after_the_last_digit_are_of_a_class_of_their_own() {
        assert_eq!(Sequence::new(&digits(&[1, 0, 9])).unwrap().classes(), [1, 0, 9, 10, 10]);
    }

    #[test]
    fn six_digits_are_too_many() {
        assert!(Sequence::new(&digits(&[1; 5])).is_some());
        assert!(Sequence::new(&digits(&[1; 6])).is_none());
    }

    #[test]
    fn the_rectangle_around_all_touches_the_outermost() {
        let bounds = |left, top, width, height| Bounds { left, top, width, height };
        let around = Bounds::around([bounds(3.0, -1.0, 5.0, 10.0), bounds(7.0, 2.0, 6.0, 9.0)]).unwrap();
        assert_eq!(around, bounds(3.0, -1.0, 10.0, 12.0));
    }
}
