//! Whether the clock is kept right, as the kernel knows it.

use std::mem::MaybeUninit;
use std::path::Path;

use serde::Serialize;

/// The clock's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Clock {
    /// A time service has set it and keeps it.
    pub is_synchronised: bool,
    /// What it may be wrong by, in microseconds, as that service says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_max_us: Option<i64>,
}

/// systemd's own service leaves this behind when it has set the clock.
const MARK: &str = "/run/systemd/timesync/synchronized";

/// From the kernel, or, where a sandbox forbids to ask it, from the mark of systemd's service.
pub(super) fn read() -> Option<Clock> {
    let marked = || Path::new(MARK).exists().then_some(Clock { is_synchronised: true, error_max_us: None });
    ask_kernel().or_else(marked)
}

#[expect(
    unsafe_code,
    reason = "no safe wrapper: the kernel fills the struct that it is given, and with no mode set changes nothing"
)]
#[expect(clippy::useless_conversion, reason = "the field's width differs between architectures")]
fn ask_kernel() -> Option<Clock> {
    let mut state = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all of the struct is zero, which is a valid value and asks for no change; the kernel writes within it.
    let (result, state) = unsafe { (libc::adjtimex(state.as_mut_ptr()), state.assume_init()) };
    if result < 0 {
        return None;
    }
    Some(Clock { is_synchronised: result != libc::TIME_ERROR, error_max_us: Some(i64::from(state.maxerror)) })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_answers() {
        let clock = super::read().expect("reading needs no right");
        assert!(clock.error_max_us.is_some_and(|error| error >= 0));
    }
}
