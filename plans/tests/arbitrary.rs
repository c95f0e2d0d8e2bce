//! Whatever the file holds, reading it ends in a plan or in faults that can be shown.

use proptest::prelude::*;
use strongroom_plans::{ByteSize, Selector, Site, SiteFiles, TimeSpan, decode, parse, steps};

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

const SITE: [(&str, &str); 6] = [
    ("site.yaml", include_str!("../examples/site/site.yaml")),
    ("hosts.yaml", include_str!("../examples/site/hosts.yaml")),
    ("parts/rules.yaml", "variables: { a: 数, b: 2 }\ntags: { x: \"${a}${b}\" }\n"),
    ("plans/databases.yaml", include_str!("../examples/site/plans/databases.yaml")),
    ("plans/configuration-drill.yaml", include_str!("../examples/site/plans/configuration-drill.yaml")),
    ("plans/system-configuration.yaml", include_str!("../examples/site/plans/system-configuration.yaml")),
];

/// Whatever a site's files hold, they end in a site or in faults.
fn read_site(files: &[(&str, Vec<u8>)]) {
    let mut site = SiteFiles::new("any");
    files.iter().for_each(|(path, content)| site.insert(*path, content.clone()));
    if let Err(faults) = Site::read(&site) {
        assert!(faults.iter().count() > 0);
        assert!(!faults.to_string().contains('\u{1b}'));
    }
}

/// A text with a stretch of it replaced.
fn damaged(text: &str, start: usize, removed: usize, piece: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let start = start % (bytes.len() + 1);
    let end = (start + removed).min(bytes.len());
    bytes.splice(start..end, piece.bytes());
    bytes
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
        "hosts:",
        "after: databases",
        "jump: db1",
        "days: [12-31]",
        "tags:",
        "level: L3",
        "variables: { a: 1 }",
        "include: [parts/rules.yaml]",
        "${",
        "$${a}",
        "${a}",
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

    /// A real site with a stretch of one of its files replaced, or with two files damaged, or with one gone.
    #[test]
    fn a_damaged_site(
        damages in prop::collection::vec((0usize..4, any::<usize>(), 0usize..60, piece()), 1..4),
        gone in prop::option::weighted(0.1, 0usize..4),
    ) {
        let mut files: Vec<(&str, Vec<u8>)> = SITE.iter().map(|(path, text)| (*path, text.as_bytes().to_vec())).collect();
        for (file, start, removed, piece) in damages {
            let text = String::from_utf8_lossy(&files[file].1).into_owned();
            files[file].1 = damaged(&text, start, removed, &piece);
        }
        gone.map(|gone| files.remove(gone));
        read_site(&files);
    }

    #[test]
    fn any_selector(text in "[a-z=!&|()* ]{0,40}") {
        if let Ok(selector) = text.parse::<Selector>() {
            prop_assert_eq!(selector.to_string(), text);
        }
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

/// As many hosts as a site may have, each reached through the one before, and a plan for each of the first.
#[test]
fn the_largest_site_is_read_in_no_time() {
    let host = |number: usize| {
        format!("  h{number}: {{ address: h{number}, jump: h{}, labels: {{ n: x{number} }} }}\n", number + 1)
    };
    let hosts: String = (0..80_000).map(host).collect();
    let mut files: Vec<(&str, Vec<u8>)> =
        vec![("site.yaml", SITE[0].1.into()), ("hosts.yaml", format!("hosts:\n{hosts}").into_bytes())];
    let names: Vec<String> = (0..50).map(|number| format!("plans/p{number}.yaml")).collect();
    for (number, name) in names.iter().enumerate() {
        let text = SITE[2].1.replace("name: databases", &format!("name: p{number}")).replace("role=db", "!(n=x1)");
        files.push((name, text.into_bytes()));
    }
    read_site(&files);
}
