//! Arithmetic on the lanes of a pixel: plain loops, and for `f32` on x86-64 the instructions that they ought to become. The compiler takes a short array apart into
//! single numbers otherwise.

use stn_core::Real;
use stn_core::wide::mul_add;
#[cfg(target_arch = "x86_64")]
use stn_core::wide::{AVX2, AVX512};

#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::two_taps::TwoTaps;

/// A number whose lanes are computed on at once.
pub(crate) trait Lanes: Real {
    /// The loops for two taps that are written for the vectors of a level.
    #[inline(always)]
    fn two_taps<const LEVEL: usize>() -> Option<TwoTaps<Self>> {
        None
    }

    /// `sum + weight * values`.
    #[inline(always)]
    fn add_scaled<const L: usize, const LEVEL: usize>(sum: &mut [Self; L], weight: Self, values: &[Self; L]) {
        plain::add_scaled::<Self, L, LEVEL>(sum, weight, values);
    }

    /// `weight * values`.
    #[inline(always)]
    fn scaled<const L: usize, const LEVEL: usize>(weight: Self, values: &[Self; L]) -> [Self; L] {
        plain::scaled(weight, values)
    }

    /// The sum of products.
    #[inline(always)]
    fn dot<const L: usize, const LEVEL: usize>(a: &[Self; L], b: &[Self; L]) -> Self {
        plain::dot(a, b)
    }

    /// Rows as columns.
    #[inline(always)]
    fn turned(rows: [[Self; 4]; 4]) -> [[Self; 4]; 4] {
        std::array::from_fn(|i| rows.map(|row| row[i]))
    }

    /// `a * b`.
    #[inline(always)]
    fn times<const LEVEL: usize>(a: &Wide<Self>, b: &Wide<Self>) -> Wide<Self> {
        std::array::from_fn(|i| a[i] * b[i])
    }

    /// `sum + a * b`.
    #[inline(always)]
    fn add_times<const LEVEL: usize>(sum: &mut Wide<Self>, a: &Wide<Self>, b: &Wide<Self>) {
        sum.iter_mut().zip(a).zip(b).for_each(|((sum, &a), &b)| *sum = mul_add::<Self, LEVEL>(a, b, *sum));
    }

    /// `sum + gradient * factor`, and `sum` where the gradient is zero, though the factor be infinite.
    #[inline(always)]
    fn add_product<const LEVEL: usize>(sum: &mut Wide<Self>, gradient: &Wide<Self>, factor: &Wide<Self>) {
        plain::add_product::<Self, LEVEL>(sum, gradient, factor);
    }

    /// From four rows to sixteen columns: `to[i * stride + r] = rows[r][i]`.
    ///
    /// # Safety
    ///
    /// All of these are among the numbers that `to` stands for.
    #[inline(always)]
    unsafe fn put_columns<const LEVEL: usize>(rows: [&Wide<Self>; 4], to: *mut Self, stride: usize) {
        for i in 0..WIDE {
            for (r, row) in rows.iter().enumerate() {
                // SAFETY: as the caller promises.
                unsafe { *to.add(i * stride + r) = row[i] };
            }
        }
    }

    /// From sixteen rows to sixteen columns: `to[i * 16 + r] = from[r * stride + i]`.
    ///
    /// # Safety
    ///
    /// All of these are among the numbers that the pointers stand for.
    #[inline(always)]
    unsafe fn put_square<const LEVEL: usize>(from: *const Self, stride: usize, to: *mut Self) {
        for i in 0..WIDE * WIDE {
            // SAFETY: as the caller promises.
            unsafe { *to.add(i) = *from.add(i % WIDE * stride + i / WIDE) };
        }
    }

    /// The way back: `rows[r][i] = from[i * stride + r]`.
    ///
    /// # Safety
    ///
    /// All of these are among the numbers that `from` stands for.
    #[inline(always)]
    unsafe fn take_columns<const LEVEL: usize>(from: *const Self, stride: usize) -> [Wide<Self>; 4] {
        // SAFETY: as the caller promises.
        std::array::from_fn(|r| std::array::from_fn(|i| unsafe { *from.add(i * stride + r) }))
    }

    /// From cells to sixteen pixels: `(cells[i][0] + above[i][2]) + (cells[i - 1][1] + above[i - 1][3])`.
    ///
    /// # Safety
    ///
    /// `cells` and `above` stand for sixteen cells each, and the one before these.
    #[inline(always)]
    unsafe fn fold<const LEVEL: usize>(cells: *const [Self; 4], above: *const [Self; 4]) -> Wide<Self> {
        // SAFETY: as the caller promises.
        unsafe { plain::fold(cells, above) }
    }

    /// Of every four numbers the one at `PLACE`, four times: `[4 * k + t] = values[4 * k + PLACE]`.
    #[inline(always)]
    fn spread<const PLACE: usize, const LEVEL: usize>(values: &Wide<Self>) -> Wide<Self> {
        std::array::from_fn(|i| values[i / 4 * 4 + PLACE])
    }

    /// Squares of four by four turned, the first four numbers of every row being one, and so on; its own way back: `[r][4 * k + c] = rows[c][4 * k + r]`.
    #[inline(always)]
    fn squares<const LEVEL: usize>(rows: &[Wide<Self>; 4]) -> [Wide<Self>; 4] {
        std::array::from_fn(|r| std::array::from_fn(|i| rows[i % 4][i / 4 * 4 + r]))
    }

    /// `a + b`.
    #[inline(always)]
    fn plus<const LEVEL: usize>(a: &Wide<Self>, b: &Wide<Self>) -> Wide<Self> {
        std::array::from_fn(|i| a[i] + b[i])
    }

    /// The four numbers from each of four places on, places lying `STEP` numbers apart.
    ///
    /// # Safety
    ///
    /// `source` stands for so many numbers that all of them are among them.
    #[inline(always)]
    unsafe fn fetch_quads<const STEP: usize, const LEVEL: usize>(source: *const Self, places: [u32; 4]) -> Wide<Self> {
        // SAFETY: as the caller promises.
        std::array::from_fn(|i| unsafe { *source.add(STEP * places[i / 4] as usize + i % 4) })
    }

    /// Adds to the quads at four places, one after the other.
    ///
    /// # Safety
    ///
    /// `sums` stands for so many quads that all of them are among them.
    #[inline(always)]
    unsafe fn scatter_quads<const LEVEL: usize>(sums: *mut [Self; 4], places: [u32; 4], values: &Wide<Self>) {
        for (values, place) in values.as_chunks::<4>().0.iter().zip(places) {
            // SAFETY: as the caller promises.
            let sum = unsafe { &mut *sums.add(place as usize) };
            sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += value);
        }
    }

    /// The four numbers from each place on: `[t][i] = source[places[i] + t]`.
    ///
    /// # Safety
    ///
    /// `source` stands for so many numbers that all of them are among them.
    #[inline(always)]
    unsafe fn fetch<const LEVEL: usize>(source: *const Self, places: &[u32; WIDE]) -> [Wide<Self>; 4] {
        // SAFETY: as the caller promises.
        let quads = unsafe {
            [
                Self::fetch_quads::<1, LEVEL>(source, fourths::<0>(places)),
                Self::fetch_quads::<1, LEVEL>(source, fourths::<1>(places)),
                Self::fetch_quads::<1, LEVEL>(source, fourths::<2>(places)),
                Self::fetch_quads::<1, LEVEL>(source, fourths::<3>(places)),
            ]
        };
        Self::squares::<LEVEL>(&quads)
    }

    /// `cells[places[i]][t] += parts[t][i]`.
    ///
    /// # Safety
    ///
    /// `cells` stands for so many that all of them are among them.
    #[inline(always)]
    unsafe fn scatter<const LEVEL: usize>(cells: *mut [Self; 4], places: &[u32; WIDE], parts: &[Wide<Self>; 4]) {
        let quads = Self::squares::<LEVEL>(parts);
        // SAFETY: as the caller promises.
        unsafe {
            Self::scatter_quads::<LEVEL>(cells, fourths::<0>(places), &quads[0]);
            Self::scatter_quads::<LEVEL>(cells, fourths::<1>(places), &quads[1]);
            Self::scatter_quads::<LEVEL>(cells, fourths::<2>(places), &quads[2]);
            Self::scatter_quads::<LEVEL>(cells, fourths::<3>(places), &quads[3]);
        }
    }
}

/// As many numbers as a vector holds at most.
pub(crate) const WIDE: usize = 16;

/// Numbers of [`WIDE`] pixels.
pub(crate) type Wide<T> = [T; WIDE];

/// Every fourth place, counted from `FIRST`.
#[inline(always)]
pub(super) fn fourths<const FIRST: usize>(places: &[u32; WIDE]) -> [u32; 4] {
    [places[FIRST], places[FIRST + 4], places[FIRST + 8], places[FIRST + 12]]
}

/// Numbers of [`WIDE`] pixels, zero beyond the last.
#[inline(always)]
pub(crate) fn padded<T: Real>(values: &[T]) -> Wide<T> {
    match values.try_into() {
        Ok(all) => all,
        Err(_) => {
            let mut padded = [T::zero(); WIDE];
            padded.iter_mut().zip(values).for_each(|(padded, &value)| *padded = value);
            padded
        }
    }
}

impl Lanes for f64 {}

#[cfg(not(target_arch = "x86_64"))]
impl Lanes for f32 {}

#[cfg(target_arch = "x86_64")]
impl Lanes for f32 {
    #[inline(always)]
    fn two_taps<const LEVEL: usize>() -> Option<TwoTaps<Self>> {
        (LEVEL == AVX512).then(TwoTaps::of_avx512)
    }

    #[inline(always)]
    fn add_scaled<const L: usize, const LEVEL: usize>(sum: &mut [Self; L], weight: Self, values: &[Self; L]) {
        match x86::usable::<L, LEVEL>() {
            // SAFETY: bodies of a level run only where the CPU has its instructions, and L is 4 or 16.
            true => unsafe { x86::add_scaled::<L, LEVEL>(sum.as_mut_ptr(), weight, values.as_ptr()) },
            false => plain::add_scaled::<Self, L, LEVEL>(sum, weight, values),
        }
    }

    #[inline(always)]
    fn scaled<const L: usize, const LEVEL: usize>(weight: Self, values: &[Self; L]) -> [Self; L] {
        if !x86::usable::<L, LEVEL>() {
            return plain::scaled(weight, values);
        }
        let mut product = [0.0; L];
        // SAFETY: the same.
        unsafe { x86::scaled::<L, LEVEL>(product.as_mut_ptr(), weight, values.as_ptr()) };
        product
    }

    #[inline(always)]
    fn dot<const L: usize, const LEVEL: usize>(a: &[Self; L], b: &[Self; L]) -> Self {
        match x86::usable::<L, LEVEL>() {
            // SAFETY: the same.
            true => unsafe { x86::dot::<L, LEVEL>(a.as_ptr(), b.as_ptr()) },
            false => plain::dot(a, b),
        }
    }

    #[inline(always)]
    fn turned(rows: [[Self; 4]; 4]) -> [[Self; 4]; 4] {
        x86::turned(rows)
    }

    #[inline(always)]
    fn times<const LEVEL: usize>(a: &Wide<Self>, b: &Wide<Self>) -> Wide<Self> {
        if LEVEL < AVX2 {
            return std::array::from_fn(|i| a[i] * b[i]);
        }
        let mut product = [0.0; WIDE];
        // SAFETY: bodies of a level run only where the CPU has its instructions.
        unsafe { x86::times::<LEVEL>(product.as_mut_ptr(), a.as_ptr(), b.as_ptr()) };
        product
    }

    #[inline(always)]
    fn add_times<const LEVEL: usize>(sum: &mut Wide<Self>, a: &Wide<Self>, b: &Wide<Self>) {
        match LEVEL < AVX2 {
            true => sum.iter_mut().zip(a).zip(b).for_each(|((sum, &a), &b)| *sum += a * b),
            // SAFETY: the same.
            false => unsafe { x86::add_times::<LEVEL>(sum.as_mut_ptr(), a.as_ptr(), b.as_ptr()) },
        }
    }

    #[inline(always)]
    fn add_product<const LEVEL: usize>(sum: &mut Wide<Self>, gradient: &Wide<Self>, factor: &Wide<Self>) {
        match LEVEL < AVX2 {
            true => plain::add_product::<Self, LEVEL>(sum, gradient, factor),
            // SAFETY: the same.
            false => unsafe { x86::add_product::<LEVEL>(sum.as_mut_ptr(), gradient.as_ptr(), factor.as_ptr()) },
        }
    }

    #[inline(always)]
    unsafe fn put_columns<const LEVEL: usize>(rows: [&Wide<Self>; 4], to: *mut Self, stride: usize) {
        // SAFETY: bodies of a level run only where the CPU has its instructions; and as the caller promises.
        unsafe { x86::put_columns::<LEVEL>(rows, to, stride) };
    }

    #[inline(always)]
    unsafe fn put_square<const LEVEL: usize>(from: *const Self, stride: usize, to: *mut Self) {
        // SAFETY: the same.
        unsafe { x86::put_square::<LEVEL>(from, stride, to) };
    }

    #[inline(always)]
    unsafe fn take_columns<const LEVEL: usize>(from: *const Self, stride: usize) -> [Wide<Self>; 4] {
        // SAFETY: the same.
        unsafe { x86::take_columns::<LEVEL>(from, stride) }
    }

    #[inline(always)]
    fn spread<const PLACE: usize, const LEVEL: usize>(values: &Wide<Self>) -> Wide<Self> {
        match LEVEL < AVX2 {
            true => std::array::from_fn(|i| values[i / 4 * 4 + PLACE]),
            // SAFETY: bodies of a level run only where the CPU has its instructions.
            false => unsafe { x86::spread::<PLACE, LEVEL>(values) },
        }
    }

    #[inline(always)]
    fn plus<const LEVEL: usize>(a: &Wide<Self>, b: &Wide<Self>) -> Wide<Self> {
        match LEVEL < AVX2 {
            true => std::array::from_fn(|i| a[i] + b[i]),
            // SAFETY: the same.
            false => unsafe { x86::plus::<LEVEL>(a, b) },
        }
    }

    #[inline(always)]
    fn squares<const LEVEL: usize>(rows: &[Wide<Self>; 4]) -> [Wide<Self>; 4] {
        // SAFETY: the same.
        unsafe { x86::squares::<LEVEL>(rows) }
    }

    #[inline(always)]
    unsafe fn fetch_quads<const STEP: usize, const LEVEL: usize>(source: *const Self, places: [u32; 4]) -> Wide<Self> {
        // SAFETY: as the caller promises; and as above.
        unsafe { x86::fetch_quads::<STEP, LEVEL>(source, places) }
    }

    #[inline(always)]
    unsafe fn scatter_quads<const LEVEL: usize>(sums: *mut [Self; 4], places: [u32; 4], values: &Wide<Self>) {
        // SAFETY: as the caller promises; and as above.
        unsafe { x86::scatter_quads::<LEVEL>(sums.cast(), places, values) };
    }

    #[inline(always)]
    unsafe fn fold<const LEVEL: usize>(cells: *const [Self; 4], above: *const [Self; 4]) -> Wide<Self> {
        match LEVEL < AVX512 {
            // SAFETY: as the caller promises.
            true => unsafe { plain::fold(cells, above) },
            // SAFETY: as the caller promises; and as above.
            false => unsafe { avx512::fold(cells.cast(), above.cast()) },
        }
    }
}

mod plain {
    use super::{Real, WIDE, Wide, mul_add};

    #[inline(always)]
    pub(super) fn add_scaled<T: Real, const L: usize, const LEVEL: usize>(sum: &mut [T; L], weight: T, values: &[T; L]) {
        for (sum, &value) in sum.iter_mut().zip(values) {
            *sum = mul_add::<T, LEVEL>(weight, value, *sum);
        }
    }

    #[inline(always)]
    pub(super) fn scaled<T: Real, const L: usize>(weight: T, values: &[T; L]) -> [T; L] {
        values.map(|value| weight * value)
    }

    #[inline(always)]
    pub(super) fn add_product<T: Real, const LEVEL: usize>(sum: &mut Wide<T>, gradient: &Wide<T>, factor: &Wide<T>) {
        for ((sum, &gradient), &factor) in sum.iter_mut().zip(gradient).zip(factor) {
            *sum = mul_add::<T, LEVEL>(gradient, if gradient == T::zero() { T::zero() } else { factor }, *sum);
        }
    }

    /// # Safety
    ///
    /// Both pointers stand for sixteen cells, and the one before these.
    #[inline(always)]
    pub(super) unsafe fn fold<T: Real>(cells: *const [T; 4], above: *const [T; 4]) -> Wide<T> {
        let mut sums = [T::zero(); WIDE];
        // SAFETY: as the caller promises.
        let mut before = unsafe { (*cells.sub(1))[1] + (*above.sub(1))[3] };
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the same.
            let (cell, above) = unsafe { (*cells.add(i), *above.add(i)) };
            *sum = (cell[0] + above[2]) + before;
            before = cell[1] + above[3];
        }
        sums
    }

    /// In halves, as vectors are added up.
    #[inline(always)]
    pub(super) fn dot<T: Real, const L: usize>(a: &[T; L], b: &[T; L]) -> T {
        let mut products = *a;
        products.iter_mut().zip(b).for_each(|(product, &b)| *product *= b);
        let mut width = L;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                let other = products[i + width];
                products[i] += other;
            }
        }
        products[0]
    }
}
