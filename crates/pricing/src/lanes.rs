//! Vectorised arithmetic with the same bits on every x86-64 machine: how to write a kernel, the
//! levels at which it runs, and exp, ln and the normal distribution over slices.
//!
//! Decisions and state hashes rest on pricing numbers, so a price may depend neither on the CPU nor
//! on the place of an option in its batch. Therefore:
//!
//! - **Lane functions** (`elementary`, and `normal` beside this module) take one f64, have no
//!   branch, and are `#[inline(always)]`. They use add, subtract, multiply, divide, `sqrt`,
//!   explicit `mul_add`, comparisons and integer operations on the bits, each of which IEEE 754 or
//!   the instruction set defines to the last bit. Never the platform's `exp`, never `f64::max` or
//!   `clamp` (they leave the sign of zero to the compiler): write `if a > b { a } else { b }`.
//! - A **kernel** is a struct with its inputs and outputs and a loop over lanes that calls lane
//!   functions: `impl Kernel for Mine`, its `run` and everything below it `#[inline(always)]`. The
//!   compiler vectorises that loop anew for each `Level`.
//! - `dispatch(kernel)` runs it at the best level of this CPU; `at_level` forces one in a scope,
//!   for tests and benches. Loops whose trip count is a small constant are unrolled instead of
//!   vectorised: keep the count a variable, and pad tails up to `WIDTH`, as `Map` below does.
//!
//! ```
//! use pricing::lanes::{Kernel, dispatch, elementary::exp};
//!
//! struct Discounts<'a> { rate: f64, years: &'a [f64], out: &'a mut [f64] }
//! impl Kernel for Discounts<'_> {
//!     type Output = ();
//!     #[inline(always)]
//!     fn run(self) {
//!         for (out, years) in self.out.iter_mut().zip(self.years) {
//!             *out = exp(-self.rate * years);
//!         }
//!     }
//! }
//! let mut out = [0.0; 2];
//! dispatch(Discounts { rate: 0.05, years: &[0.0, 1.0], out: &mut out });
//! assert_eq!(out[0], 1.0);
//! ```
//!
//! A lane function called outside of a kernel gives the same bits, but each `mul_add` is then a
//! call into software: `scalar` has the dispatched versions for single numbers.
//!
//! What the numbers mean is left to `black` and its neighbours. NaN results are canonical in
//! `slices` and `scalar`; a lane function promises NaN but not its sign and payload.

mod dispatch;
pub mod elementary;
pub mod scalar;
pub mod slices;

pub use dispatch::{Kernel, Level, Unsupported, at_level, dispatch};

/// Lanes of the widest vector: tails are padded to a multiple of this.
pub const WIDTH: usize = 8;

/// `lanes` rounded up to whole vectors.
#[inline(always)]
#[must_use]
pub const fn padded(lanes: usize) -> usize {
    lanes.next_multiple_of(WIDTH)
}

/// A function of one number that a `Map` applies to slices.
trait LaneFunction {
    fn of(x: f64) -> f64;
}

/// Applies a lane function to every element; the tail goes through a padded vector.
struct Map<'a, F> {
    x: &'a [f64],
    out: &'a mut [f64],
    function: std::marker::PhantomData<F>,
}

impl<F: LaneFunction> Kernel for Map<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let whole = self.x.len() / WIDTH * WIDTH;
        let (x, tail) = self.x.split_at(whole);
        let (out, tail_out) = self.out.split_at_mut(whole);
        map::<F>(x, out);
        let (mut padded, mut answers) = ([1.0; WIDTH], [0.0; WIDTH]);
        padded[..tail.len()].copy_from_slice(tail);
        map::<F>(&padded, &mut answers);
        tail_out.copy_from_slice(&answers[..tail.len()]);
    }
}

#[inline(always)]
fn map<F: LaneFunction>(x: &[f64], out: &mut [f64]) {
    for (out, x) in out.iter_mut().zip(x) {
        let value = F::of(*x);
        *out = if value.is_nan() { f64::NAN } else { value };
    }
}

struct Exp;
struct Ln;
struct NormalCdf;
struct NormalDensity;
struct Erfc;
struct Erfcx;

macro_rules! lane_function {
    ($name:ident, $path:path) => {
        impl LaneFunction for $name {
            #[inline(always)]
            fn of(x: f64) -> f64 {
                $path(x)
            }
        }
    };
}
lane_function!(Exp, elementary::exp);
lane_function!(Ln, elementary::ln);
lane_function!(NormalCdf, crate::normal::normal_cdf);
lane_function!(NormalDensity, crate::normal::normal_density);
lane_function!(Erfc, crate::normal::erfc);
lane_function!(Erfcx, crate::normal::erfcx);

#[cfg(test)]
mod tests;
