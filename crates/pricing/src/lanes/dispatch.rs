//! The one place that chooses machine instructions: a kernel is compiled three times, and the best
//! version that this CPU has is called.
//!
//! Exists so that `unsafe` (calling code compiled for features which the rest of the program does
//! not assume) stays in one small file. What kernels compute is left to them; that the levels agree
//! to the bit follows from the rules in `lanes` and is tested there.
#![expect(unsafe_code, reason = "calling a #[target_feature] function, once detected")]

use std::cell::Cell;
use std::sync::OnceLock;
use thiserror::Error;

/// A loop over lanes, with its inputs and outputs. `run` and what it calls must be
/// `#[inline(always)]`, or it is compiled without the instructions of the level (slow, same bits).
pub trait Kernel {
    /// What is handed back.
    type Output;
    /// Does the work.
    fn run(self) -> Self::Output;
}

/// A set of instructions that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every x86-64 (and any other) CPU has; `mul_add` is a call.
    Portable,
    /// AVX2 and FMA: four lanes at a time.
    Avx2,
    /// AVX-512 F, DQ, VL, BW and CD: eight lanes at a time.
    Avx512,
}

/// A level that this CPU does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this cpu does not support {level:?}; use one of Level::supported()")]
pub struct Unsupported {
    /// The level asked for.
    pub level: Level,
}

impl Level {
    /// The best level of this CPU.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(detect)
    }

    /// The levels of this CPU, the lowest first.
    pub fn supported() -> impl Iterator<Item = Self> {
        [Self::Portable, Self::Avx2, Self::Avx512].into_iter().filter(|level| level.is_supported())
    }

    /// Whether this CPU has it.
    #[must_use]
    pub fn is_supported(self) -> bool {
        self <= Self::best()
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    macro_rules! has {
        ($($feature:tt)*) => { $(is_x86_feature_detected!($feature))&&* };
    }
    if !has!("avx2" "fma" "bmi1" "bmi2") {
        Level::Portable
    } else if has!("avx512f" "avx512dq" "avx512vl" "avx512bw" "avx512cd") {
        Level::Avx512
    } else {
        Level::Avx2
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

thread_local! {
    static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
}

/// Runs `body` with every `dispatch` of this thread at `level`, for tests and benches.
///
/// Errors with `Unsupported`, without running it.
pub fn at_level<R>(level: Level, body: impl FnOnce() -> R) -> Result<R, Unsupported> {
    struct Restore(Option<Level>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    if !level.is_supported() {
        return Err(Unsupported { level });
    }
    let _restore = Restore(FORCED.replace(Some(level)));
    Ok(body())
}

/// Runs a kernel at the best level of this CPU, or at the one that `at_level` forces.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    let level = FORCED.get().unwrap_or_else(Level::best);
    match level {
        Level::Portable => kernel.run(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `best` detected these features, and `at_level` forces no level above it.
        Level::Avx2 => unsafe { avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { avx512(kernel) },
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx2 | Level::Avx512 => kernel.run(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi1,bmi2")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,avx512f,avx512dq,avx512vl,avx512bw,avx512cd")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
