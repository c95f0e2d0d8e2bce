//! Sizes, counts and ratios.

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes with a binary unit and one decimal: `1.3 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        value /= 1024.0;
        unit = next;
        // What would print as 1024.0 belongs to the next unit.
        if value < 1023.95 {
            break;
        }
    }
    format!("{value:.1} {unit}")
}

/// A number in groups of three: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// How many times larger one number is than another: `3.4:1`; a dash where that says nothing.
pub(crate) fn ratio(large: u64, small: u64) -> String {
    if large == 0 || small == 0 {
        return "-".into();
    }
    format!("{:.1}:1", large as f64 / small as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_four_figures_at_most() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_395_864_371, "1.3 GiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, expect) in cases {
            assert_eq!(size(bytes), expect, "{bytes}");
        }
    }

    #[test]
    fn counts_are_grouped_and_ratios_say_nothing_about_nothing() {
        assert_eq!([count(0), count(999), count(1000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([ratio(10, 4), ratio(0, 4), ratio(4, 0)], ["2.5:1", "-", "-"]);
    }
}
