//! A sampling kernel's code for graphics cards, against what it does on the processor.

use std::fmt::Write;
use std::process::Command;
use std::sync::Arc;

use stn_core::{Real, Sampling};

use crate::kernel::{Row, coordinates, near, report};
use crate::mismatch::{Heading, Mismatch, Outcome, expect};

/// Checks a kernel's [`cuda_source`](stn_core::SamplingKernel::cuda_source) without a card: compiled as C++, it gives the same first taps, weights and derivatives as the kernel
/// itself, in `float` and `double`, between pixels and exactly on them and half way; no weight exceeds `LARGEST_WEIGHT`, where it is defined.
///
/// The compiler is `c++`, or what the environment variable `CXX` names. [`check_kernel`](crate::check_kernel) does the same where there is one.
///
/// # Panics
///
/// Where one does not hold, there is no such code, or no C++ compiler.
#[track_caller]
pub fn check_cuda_source(kernel: Arc<dyn Sampling>) {
    report(&kernel, &[alike]);
}

/// [`check_cuda_source`] where there is something to check, and a compiler.
pub(crate) fn where_it_can_be(kernel: &Arc<dyn Sampling>) -> Outcome {
    if kernel.cuda_source().is_some() && compiler_found() { alike(kernel) } else { Ok(()) }
}

fn alike(kernel: &Arc<dyn Sampling>) -> Outcome {
    let Some(text) = kernel.cuda_source() else { return Err(Mismatch::new("it has no `cuda_source`")) };
    let halves = (-12..30).map(|halves| 0.5 * f64::from(halves));
    let x: Vec<f64> = halves.chain(coordinates()).collect();
    let single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    compare(&**kernel, &single, &ran(&text, "float", &x, kernel.support())?, 1e-6).heading("`cuda_source` with REAL as float")?;
    compare(&**kernel, &x, &ran(&text, "double", &x, kernel.support())?, 1e-13).heading("`cuda_source` with REAL as double")
}

/// What the code gave for each coordinate, and its `LARGEST_WEIGHT`.
struct Printed {
    /// The first tap, the weights, the derivatives.
    taps: Vec<Vec<f64>>,
    largest: f64,
}

fn compare<T: Real>(kernel: &dyn Sampling, x: &[T], found: &Printed, tolerance: f64) -> Outcome {
    let (row, n, support) = (Row::new(kernel, x), x.len(), kernel.support());
    for (i, (x, found)) in x.iter().zip(&found.taps).enumerate() {
        let at = |what: &str| format!("{what} at x = {x:?}");
        let (weights, derivatives) = found.get(1..).unwrap_or_default().split_at(support.min(found.len().saturating_sub(1)));
        expect(found.first() == Some(&f64::from(row.first[i])), || format!("{}: expected {}, found {:?}", at("the first tap"), row.first[i], found.first()))?;
        near(weights, &Row::taps(&row.weights, i, n), tolerance).heading(at("weights"))?;
        near(derivatives, &Row::taps(&row.derivatives, i, n), tolerance).heading(at("derivatives"))?;
    }
    let exceeds = found.taps.iter().flat_map(|taps| &taps[1..=support]).find(|weight| weight.abs() > found.largest * (1.0 + tolerance));
    expect(found.taps.len() == n && exceeds.is_none(), || format!("a weight is {exceeds:?}, and LARGEST_WEIGHT says {}", found.largest))
}

fn compiler_found() -> bool {
    Command::new(compiler()).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn compiler() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "c++".into())
}

/// Compiles the code to a program that prints what it gives for coordinates, and runs that.
fn ran(text: &str, real: &str, x: &[f64], support: usize) -> Outcome<Printed> {
    let folder = tempfile::tempdir()?;
    let (source, program) = (folder.path().join("kernel.cpp"), folder.path().join(format!("kernel{}", std::env::consts::EXE_SUFFIX)));
    let x = x.iter().fold(String::new(), |mut all, x| {
        // Writing to a string does not fail.
        let _ = write!(all, "{x:e}, ");
        all
    });
    std::fs::write(
        &source,
        format!("{BEFORE}\n#define REAL {real}\n#define SUPPORT {support}\n{text}\nstatic const double COORDINATES[] = {{{x}}};\n{AFTER}"),
    )?;
    let compiled = Command::new(compiler()).args(["-std=c++17", "-O1", "-ffp-contract=off", "-o"]).arg(&program).arg(&source).output();
    let compiled = compiled.map_err(|error| Mismatch::new(format!("{}: {error}; a C++ compiler is needed, name it in CXX", compiler())))?;
    expect(compiled.status.success(), || format!("`cuda_source` does not compile:\n{}", String::from_utf8_lossy(&compiled.stderr)))?;
    let output = Command::new(&program).output()?;
    expect(output.status.success(), || format!("the code ended with {}", output.status))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = printed.lines().map(|line| line.split(' ').map(|number| number.parse().unwrap_or(f64::NAN)).collect::<Vec<f64>>());
    let largest = lines.next().and_then(|line| line.first().copied()).unwrap_or(f64::NAN);
    Ok(Printed { taps: lines.collect(), largest })
}

/// What a card has of its own.
const BEFORE: &str = "\
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
using namespace std;
#define __device__ static
#define __forceinline__ inline
";

/// A line with the largest weight, then one for each coordinate. What the code leaves unset is NaN.
const AFTER: &str = r#"
int main() {
#ifdef LARGEST_WEIGHT
    printf("%.17g\n", (double)(LARGEST_WEIGHT));
#else
    printf("inf\n");
#endif
    for (double x : COORDINATES) {
        int first = numeric_limits<int>::min();
        REAL values[2][SUPPORT];
        fill_n(&values[0][0], 2 * SUPPORT, numeric_limits<REAL>::quiet_NaN());
        weights((REAL)x, &first, values[0]);
        derivatives((REAL)x, values[1]);
        printf("%d", first);
        for (const auto& row : values) {
            for (REAL value : row) printf(" %.17g", (double)value);
        }
        printf("\n");
    }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use stn_core::SamplingKernel;

    /// Linear interpolation, with code that may be another's.
    #[derive(Debug)]
    struct Linear(Option<&'static str>);

    impl SamplingKernel for Linear {
        fn support(&self) -> usize {
            2
        }

        fn weights<T: Real>(&self, x: &[T], first: &mut [i32], weights: &mut [T]) {
            let (left, right) = weights.split_at_mut(x.len());
            for (i, x) in x.iter().enumerate() {
                first[i] = x.floor().to_i32().unwrap_or_default();
                right[i] = *x - x.floor();
                left[i] = T::one() - right[i];
            }
        }

        fn derivatives<T: Real>(&self, x: &[T], derivatives: &mut [T]) {
            let (left, right) = derivatives.split_at_mut(x.len());
            left.fill(-T::one());
            right.fill(T::one());
        }

        fn cuda_source(&self) -> Option<String> {
            self.0.map(|text| text.replace("DERIVATIVES", "__device__ void derivatives(REAL, REAL* d) { d[0] = REAL(-1); d[1] = REAL(1); }"))
        }
    }

    /// What is told of code; `expected` where there is no compiler to find out.
    fn found(text: Option<&'static str>, expected: &str) -> String {
        if !compiler_found() {
            eprintln!("there is no C++ compiler ({}): a check is left out", compiler());
            return expected.into();
        }
        let kernel: Arc<dyn Sampling> = Arc::new(Linear(text));
        alike(&kernel).err().map(|mismatch| mismatch.to_string()).unwrap_or_default()
    }

    const RIGHT: &str =
        "__device__ inline void weights(REAL x, int* first, REAL* w) { *first = (int)floor(x); w[1] = x - floor(x); w[0] = REAL(1) - w[1]; }\nDERIVATIVES";

    #[test]
    fn code_that_does_what_the_kernel_does_passes() {
        assert_eq!(found(Some(RIGHT), ""), "");
    }

    #[test]
    fn what_differs_is_told_with_its_place() {
        let wrong = "__device__ void weights(REAL x, int* first, REAL* w) { *first = (int)x; w[1] = x - floor(x); w[0] = REAL(1) - w[1]; }\nDERIVATIVES";
        let told = "`cuda_source` with REAL as float: the first tap at x = -5.5: expected -6, found Some(-5.0)";
        assert_eq!(found(Some(wrong), told), told);
        let wrong = "__device__ void weights(REAL x, int* first, REAL* w) { *first = (int)floor(x); w[1] = x - floor(x); }\nDERIVATIVES";
        let told = "`cuda_source` with REAL as float: weights at x = -6.0: expected [1.0, 0.0], found [NaN, 0.0]";
        assert_eq!(found(Some(wrong), told), told);
    }

    #[test]
    fn a_weight_above_the_largest_is_told() {
        let wrong: &'static str = Box::leak(format!("#define LARGEST_WEIGHT 0.75\n{RIGHT}").into_boxed_str());
        let told = "`cuda_source` with REAL as float: a weight is Some(1.0), and LARGEST_WEIGHT says 0.75";
        assert_eq!(found(Some(wrong), told), told);
    }

    #[test]
    fn code_that_does_not_compile_or_is_not_there_is_told() {
        let told = "`cuda_source` does not compile:\n";
        assert!(found(Some("__device__ void weight(REAL x);"), told).contains(told));
        let told = "it has no `cuda_source`";
        assert_eq!(found(None, told), told);
    }
}
