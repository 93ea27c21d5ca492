//! The system calls that no safe interface covers. The only unsafe code of the workspace.
#![allow(unsafe_code)]

use std::hash::{BuildHasher, RandomState};

/// How many files this process may have open (`RLIMIT_NOFILE`, soft); 1,024 when the system does not say.
pub fn file_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid, writable `rlimit` for the whole call.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if result == 0 { limit.rlim_cur } else { 1024 }
}

/// Whether an error says that the process or the system has no descriptor or buffer left (`EMFILE`, `ENFILE`, `ENOBUFS`).
pub fn is_out_of_files(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS)
    )
}

/// Fills `bytes` from the system's generator; from the hash seeds of the standard library when it fails.
pub(crate) fn fill_random(bytes: &mut [u8; 8]) {
    // SAFETY: the pointer and the length describe `bytes`, which is writable for the whole call.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if filled != 8 {
        *bytes = RandomState::new().hash_one(0_u8).to_ne_bytes();
    }
}

/// Bytes that a processor's caches move at a time, on everything that weir runs on or less.
const LINE_BYTES: usize = 64;

/// Has the processor begin to fetch `value` into its caches, itself and not what it points to. Changes nothing but time:
/// worth it before something that takes longer, such as a system call, when `value` is needed behind it.
#[inline]
pub fn prefetch<T: ?Sized>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let first = std::ptr::from_ref(value).cast::<i8>();
        for at in (0..size_of_val(value)).step_by(LINE_BYTES) {
            // SAFETY: a prefetch reads nothing as far as the program can see and faults on no address; SSE, which has it, is
            // part of the architecture.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(at)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, LINE_BYTES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_limit_is_known() {
        assert!(file_limit() >= 64);
    }
}
