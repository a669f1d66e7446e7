//! One body of code compiled for each set of vector instructions a CPU may have, and the best chosen when it runs.

use std::sync::atomic::{AtomicU8, Ordering};

use num_traits::Float;

/// The vector instructions that [`widest!`](crate::widest) chooses between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vectors {
    /// What the program was compiled for.
    Compiled,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 with fused multiply-add.
    Avx512,
}

impl Vectors {
    /// Every one, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Compiled, Self::Avx2, Self::Avx512];

    /// Those in use: the best that this CPU has, unless they were [limited](Self::limit).
    #[inline]
    pub fn here() -> Self {
        match CHOSEN.load(Ordering::Relaxed) {
            0 => Self::limit(Self::Avx512),
            chosen => Self::ALL[usize::from(chosen - 1).min(2)],
        }
    }

    /// Has the whole program use at most these from now on, and says what that comes to on this CPU: to compare one path with another, or to get the bits of a
    /// lesser CPU.
    pub fn limit(most: Self) -> Self {
        let chosen = Self::detect().min(most);
        CHOSEN.store(chosen as u8 + 1, Ordering::Relaxed);
        chosen
    }

    #[cfg(target_arch = "x86_64")]
    fn detect() -> Self {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match (avx2, avx512) {
            (true, true) => Self::Avx512,
            (true, false) => Self::Avx2,
            (false, _) => Self::Compiled,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Self {
        Self::Compiled
    }
}

/// The level of a body that is compiled for what the whole program is compiled for.
pub const COMPILED: usize = 0;

/// The level of a body that is compiled for [`Vectors::Avx2`].
pub const AVX2: usize = 1;

/// The level of a body that is compiled for [`Vectors::Avx512`].
pub const AVX512: usize = 2;

/// One more than the place in [`Vectors::ALL`] of those in use; 0 before anyone asked.
static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// `a * b + c`; rounded once where the CPUs of the level have an instruction for that.
#[inline(always)]
pub fn mul_add<T: Float, const LEVEL: usize>(a: T, b: T, c: T) -> T {
    if LEVEL >= AVX2 || cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
}

/// Defines a function that runs `body::<TYPES, NUMBERS, LEVEL>` compiled for the best vector instructions of the CPU it runs on: plain loops become wide ones without
/// a compiler flag. `body` has to be `#[inline(always)]`, and so has what it calls in its loops. Its last parameter is the level that it is compiled for:
/// [`COMPILED`], [`AVX2`] or [`AVX512`].
///
/// ```
/// #[inline(always)]
/// fn scale_body<T: stn_core::Real, const N: usize, const LEVEL: usize>(x: &mut [T; N], by: T) {
///     x.iter_mut().for_each(|x| *x *= by);
/// }
///
/// stn_core::widest! {
///     /// Scales a row.
///     fn scale[T: stn_core::Real; N](x: &mut [T; N], by: T) = scale_body
/// }
///
/// let mut row = [1.0, 2.0];
/// scale(&mut row, 2.0);
/// assert_eq!(row, [2.0, 4.0]);
/// ```
#[macro_export]
macro_rules! widest {
    ($(#[$meta:meta])* $visible:vis fn $name:ident[$($type:ident: $bound:path),*; $($number:ident),*]($($argument:ident: $of:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        $visible fn $name<$($type: $bound,)* $(const $number: usize),*>($($argument: $of),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512<$($type: $bound,)* $(const $number: usize),*>($($argument: $of),*) {
                    $body::<$($type,)* $($number,)* { $crate::wide::AVX512 }>($($argument),*);
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2<$($type: $bound,)* $(const $number: usize),*>($($argument: $of),*) {
                    $body::<$($type,)* $($number,)* { $crate::wide::AVX2 }>($($argument),*);
                }
                match $crate::wide::Vectors::here() {
                    // SAFETY: this CPU was found to have the instructions that the function was compiled for.
                    $crate::wide::Vectors::Avx512 => return unsafe { avx512::<$($type,)* $($number),*>($($argument),*) },
                    // SAFETY: the same.
                    $crate::wide::Vectors::Avx2 => return unsafe { avx2::<$($type,)* $($number),*>($($argument),*) },
                    $crate::wide::Vectors::Compiled => (),
                }
            }
            $body::<$($type,)* $($number,)* { $crate::wide::COMPILED }>($($argument),*);
        }
    };
}
