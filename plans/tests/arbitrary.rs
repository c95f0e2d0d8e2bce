//! Whatever the file holds, reading it ends in a plan or in faults that can be shown.

use proptest::prelude::*;
use strongroom_plans::{ByteSize, TimeSpan, decode, parse, steps};

const EXAMPLE: &str = include_str!("../examples/this-host.yaml");

fn read(bytes: &[u8]) {
    let faults = match decode("any.yaml", bytes).and_then(|text| parse("any.yaml", text)) {
        Ok(plan) => return assert!(!steps(&plan).is_empty()),
        Err(faults) => faults,
    };
    assert!(faults.iter().count() > 0);
    assert!(!faults.to_string().contains('\u{1b}'));
    serde_json::to_string(&faults).unwrap();
}

/// Pieces of which YAML, and our plans, are made.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "kind: backup",
        "name: x",
        "sources:",
        "- files: [/a]",
        "exclude: ['*']",
        "retain: {daily: 1}",
        "repository: /r",
        "prove:",
        "checks:",
        "tags:",
        "level: L3",
        "  ",
        "    ",
        "\n",
        "\n- ",
        ": ",
        "? ",
        "&a ",
        "*a",
        "!t ",
        "<<: ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "|\n",
        ">-\n",
        "'",
        "\"",
        "#",
        "%",
        "---\n",
        "...\n",
        "\t",
        "\r\n",
        "\u{feff}",
        "~",
        "null",
        "1",
        "\\",
        "\u{85}",
        "\u{2028}",
    ];
    prop_oneof![
        8 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(piece(), 0..40)) {
        read(pieces.concat().as_bytes());
    }

    /// A real plan with a stretch of it replaced.
    #[test]
    fn a_damaged_plan(start in 0..EXAMPLE.len(), removed in 0usize..60, piece in piece()) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let end = (start + removed).min(bytes.len());
        bytes.splice(start..end, piece.bytes());
        read(&bytes);
    }

    #[test]
    fn sizes_read_back(bytes in 1u64..) {
        let size: ByteSize = format!("{bytes} B").parse().unwrap();
        prop_assert_eq!(size.bytes(), bytes);
        prop_assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
    }

    #[test]
    fn time_spans_read_back(seconds in 1u64..) {
        let span: TimeSpan = format!("{seconds}s").parse().unwrap();
        prop_assert_eq!(span.seconds(), seconds);
        prop_assert_eq!(span.to_string().parse::<TimeSpan>(), Ok(span));
    }
}

/// Each of these is as long as a plan may be; a reader that is more than linear would take minutes.
#[test]
fn the_largest_files_are_read_in_no_time() {
    let fill = |piece: &str| piece.repeat(250 * 1024 / piece.len());
    for text in [
        format!("sources: [files: [{}]]", fill("/a,")),
        format!("sources:\n{}", fill(" - files: [/a]\n")),
        format!("sources: [files: [{}]]", fill("/a/b/c/d/e/f/g/h,")),
        format!("sources: [files: [{}]]", fill("/a/b,").replace("/a,", "/,")),
        format!("sources: [files: [/]]\ntags: {{{}}}", fill("a: b,")),
        format!("{{{}}}", fill("x: ,")),
        format!("{}: 1", fill("x")),
        format!("? {}\n: 1", fill("name")),
        format!("sources: [files: [/], exclude: [{}]]", fill("x*y,")),
        format!("sources: [files: [/{}]]", fill("/a")),
        fill("-\n"),
        fill("- "),
        fill("a: \n"),
        fill("{a: "),
        fill("'"),
        fill("#\n"),
    ] {
        read(text.as_bytes());
    }
}
