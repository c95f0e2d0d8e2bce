//! Whether the clock is kept right, as the kernel knows it.

use std::mem::MaybeUninit;

use serde::Serialize;

/// The clock's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Clock {
    /// A time service has set it and keeps it.
    pub is_synchronised: bool,
    /// What it may be wrong by, in microseconds, as that service says.
    pub error_max_us: i64,
}

#[expect(
    unsafe_code,
    reason = "no safe wrapper: the kernel fills the struct that it is given, and with no mode set changes nothing"
)]
#[expect(clippy::useless_conversion, reason = "the field's width differs between architectures")]
pub(super) fn read() -> Option<Clock> {
    let mut state = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all of the struct is zero, which is a valid value and asks for no change; the kernel writes within it.
    let (result, state) = unsafe { (libc::adjtimex(state.as_mut_ptr()), state.assume_init()) };
    if result < 0 {
        return None;
    }
    Some(Clock { is_synchronised: result != libc::TIME_ERROR, error_max_us: i64::from(state.maxerror) })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_answers() {
        let clock = super::read().expect("reading needs no right");
        assert!(clock.error_max_us >= 0);
    }
}
