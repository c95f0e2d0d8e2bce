//! Forms on paper: as text, and as one page of HTML that needs nothing else.

use std::fmt::Write;

use maud::{DOCTYPE, PreEscaped, html};

use super::form::{Form, Section};

/// Black on white, for a printer as well.
const STYLE: &str = "body{font:15px/1.5 system-ui,'Noto Sans CJK SC',sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}\
    h1{font-size:1.5rem;text-align:center}h2{font-size:1rem;margin:1.2rem 0 .3rem}\
    table{border-collapse:collapse;width:100%;page-break-inside:avoid}\
    th,td{border:1px solid #999;padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere;white-space:pre-line}\
    .facts td:first-child{width:16rem;background:#f3f3f3}";

/// As one page.
pub(super) fn html(form: &Form) -> String {
    let page = html! {
        (DOCTYPE)
        html lang=(form.language.code()) {
            head {
                meta charset="utf-8";
                title { (form.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (form.title) }
                @for section in &form.sections {
                    h2 { (section.title) }
                    table.facts[section.head.is_empty()] {
                        @if !section.head.is_empty() {
                            tr { @for word in &section.head { th { (word) } } }
                        }
                        @for row in &section.rows {
                            tr { @for cell in row { td { (cell) } } }
                        }
                    }
                }
            }
        }
    };
    // One element a line, so that a change is found in its line.
    page.into_string().replace("</tr>", "</tr>\n").replace("<table", "\n<table") + "\n"
}

/// As text, a fact in a line.
pub(super) fn text(form: &Form) -> String {
    let mut text = format!("{}\n", form.title);
    for section in &form.sections {
        let _ = write!(text, "\n{}\n", section.title);
        for row in &section.rows {
            line(&mut text, section, row);
        }
    }
    text
}

fn line(text: &mut String, section: &Section, row: &[String]) {
    // A value of several lines goes on below.
    let cells: Vec<String> = row.iter().map(|cell| cell.replace('\n', "\n    ")).collect();
    let named = section.head.iter().zip(&cells).skip(1).map(|(word, cell)| format!("{word}: {cell}"));
    let said = match (&cells[..], section.head.is_empty()) {
        ([name, value], true) => format!("{name}: {value}"),
        ([first, ..], false) => format!("{first} | {}", named.collect::<Vec<_>>().join(" | ")),
        (other, _) => other.join(" | "),
    };
    let _ = writeln!(text, "  {said}");
}
