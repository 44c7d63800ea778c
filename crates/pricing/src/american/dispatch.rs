//! Runs a loop nest compiled for the widest vectors of this machine.
//!
//! Exists so that one source, inlined into three functions, serves AVX-512, AVX2 and everything
//! else. Every operation is written out (fused multiply-add included) and compilers may not
//! reassociate f64, so the results are bit-identical; only the time differs. What runs is left to
//! the callers.

#![expect(unsafe_code, reason = "calls functions compiled for features checked at run time")]

/// A loop nest whose `run` is inlined into the function of each instruction set.
pub(crate) trait Task {
    /// What it computes.
    type Output;
    /// Computes it; implementations are `#[inline(always)]`, as is all that they call.
    fn run(self) -> Self::Output;
}

/// Runs `task` with the widest vectors available.
pub(crate) fn dispatch<T: Task>(task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512dq")
            && std::is_x86_feature_detected!("avx512vl")
            && std::is_x86_feature_detected!("fma")
        {
            // SAFETY: the features that `avx512` is compiled for were found just above.
            return unsafe { avx512(task) };
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // SAFETY: the features that `avx2` is compiled for were found just above.
            return unsafe { avx2(task) };
        }
    }
    task.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,fma")]
fn avx512<T: Task>(task: T) -> T::Output {
    task.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<T: Task>(task: T) -> T::Output {
    task.run()
}
