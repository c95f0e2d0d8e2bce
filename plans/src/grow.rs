//! The first pass: from text to tree.
//!
//! Everything that is the same in all our files is found here: syntax, duplicate keys, and the features of YAML
//! that we do without. Anchors, aliases and tags are refused, so a small file cannot unfold into a large tree.

use std::collections::BTreeMap;

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, StrInput, options};

use crate::fault::Code;
use crate::findings::Findings;
use crate::report::quoted;
use crate::text::Span;
use crate::tree::{Content, Entry, Node, Quotes};

/// What kind of file is read: how large it may be, and how one begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileKind {
    /// As it stands in a sentence: "a plan".
    what: &'static str,
    bytes_max: usize,
    first_line: &'static str,
}

impl FileKind {
    /// Ten times the largest plan that we can imagine; reading it takes milliseconds.
    pub(crate) const PLAN: Self = Self { what: "a plan", bytes_max: 256 * 1024, first_line: "kind: backup" };
    pub(crate) const PART: Self =
        Self { what: "a part of a plan", bytes_max: 256 * 1024, first_line: "retain: { daily: 14, at-least: 3 }" };
    pub(crate) const SITE: Self = Self { what: "a site", bytes_max: 256 * 1024, first_line: "name: my-site" };
    /// Fifty thousand hosts of 160 bytes each.
    pub(crate) const HOSTS: Self = Self { what: "the hosts of a site", bytes_max: 8 << 20, first_line: "hosts:" };
}

/// Where brackets stand around it, YAML takes the braces of a variable for some of them.
const QUOTE_VARIABLES: &str =
    "put a value with a variable in it into quotes where brackets stand around it: \"${name}\"";

/// Plans nest four deep; the bound keeps recursion off the end of the stack.
const NESTING_MAX: usize = 32;

/// Reads the one document of the file that was added to the text last. `None` means that a fault was reported.
pub(crate) fn grow(kind: FileKind, findings: &mut Findings<'_>) -> Option<Node> {
    let (content, start) = (findings.text().content(), findings.text().start());
    if content.len() > kind.bytes_max {
        let reason = format!("the file has {} bytes, {} at most {}", content.len(), kind.what, kind.bytes_max);
        findings.report(Code::TooLarge, &(start..start), reason, "split it, or check that this is the file you mean");
        return None;
    }
    let events = Parser::new_from_str_with_options(content, parser_options());
    let root = Grower { events, start, findings }.document().ok()?;
    if root.is_nothing() {
        let reason = format!("the file is to hold {}, and holds nothing", kind.what);
        findings.report(Code::Empty, &root.span, reason, format!("start with `{}`", kind.first_line));
        return None;
    }
    Some(root)
}

fn parser_options() -> Options {
    options! {
        disallow_directives: true,
        emit_comments: false,
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        flow_nesting_limit: NESTING_MAX,
        block_nesting_limit: NESTING_MAX,
    }
}

/// The text cannot be read further; the fault is reported.
struct Unreadable;

struct Grower<'t, 'f> {
    events: Parser<'t, StrInput<'t>>,
    /// Where its file starts in the whole text.
    start: usize,
    findings: &'f mut Findings<'t>,
}

impl<'t> Grower<'t, '_> {
    fn document(mut self) -> Result<Node, Unreadable> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    let remedy = "put the second one into a file of its own";
                    self.findings.report(Code::SecondDocument, &span, "a second document starts here", remedy);
                    break;
                }
                Event::DocumentStart(..) => {}
                first => root = Some(self.node(first, span)?),
            }
        }
        Ok(root.unwrap_or_else(|| Node::scalar(self.start..self.start, String::new(), Quotes::Absent)))
    }

    /// The next event that stands for something. Anchors are reported on the way: they come after their node.
    fn next(&mut self) -> Result<(Event<'t>, Span), Unreadable> {
        loop {
            match self.events.next_event() {
                Some(Ok((Event::Anchor(..), span))) => self.refuse_reference(&self.byte_span(span)),
                Some(Ok((event, span))) => {
                    if event.tag().is_some() {
                        self.refuse_tag(&self.byte_span(span.tag_span().unwrap_or(span)));
                    }
                    return Ok((event, self.byte_span(span)));
                }
                Some(Err(error)) => return Err(self.unreadable(&error)),
                None => return Ok((Event::StreamEnd, self.start..self.start)),
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node, Unreadable> {
        match event {
            Event::Scalar(text, style, ..) => Ok(Node::scalar(span, text.into_owned(), quotes(style))),
            Event::SequenceStart(..) => self.list(span.start),
            Event::MappingStart(..) => self.mapping(span.start),
            _ => {
                self.refuse_reference(&span);
                Ok(Node { span, content: Content::Refused })
            }
        }
    }

    fn list(&mut self, start: usize) -> Result<Node, Unreadable> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, span) => {
                    return Ok(Node { span: start..span.end, content: Content::List(items) });
                }
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn mapping(&mut self, start: usize) -> Result<Node, Unreadable> {
        let mut entries = Vec::new();
        let mut first_at = BTreeMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Node { span: start..span.end, content: Content::Mapping(entries) });
            }
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            entries.extend(self.entry(key, value, &mut first_at));
        }
    }

    /// Joins key and value, unless the key is no text or stood here before.
    fn entry(&mut self, key: Node, value: Node, first_at: &mut BTreeMap<String, usize>) -> Option<Entry> {
        let text = match key.content {
            Content::Scalar { text, .. } => text,
            Content::Refused => return None,
            Content::List(_) | Content::Mapping(_) => {
                let reason = format!("a key is text, found {}", key.kind());
                let remedy = "write a plain word in front of the colon; quote a text that starts with [ or {";
                self.findings.report(Code::YamlFeature, &key.span, reason, remedy);
                return None;
            }
        };
        if let Some(first) = first_at.get(&text) {
            let reason = format!("the key {} stands here already, on line {first}", quoted(&text));
            self.findings.report(Code::DuplicateKey, &key.span, reason, "keep one of the two, or join their values");
            return None;
        }
        first_at.insert(text.clone(), self.findings.text().line_of(key.span.start));
        Some(Entry { key: text, key_span: key.span, value })
    }

    /// The parser reads from memory, so it always knows the bytes; an unknown place becomes the text's start.
    fn byte_span(&self, span: granit_parser::Span) -> Span {
        let span = span.byte_range().unwrap_or_default();
        self.start + span.start..self.start + span.end
    }

    fn refuse_reference(&mut self, span: &Span) {
        let remedy = "write the value out where it is used; quote a text that starts with & or *";
        self.findings.report(Code::YamlFeature, span, "plans have no anchors and aliases", remedy);
    }

    fn refuse_tag(&mut self, span: &Span) {
        let remedy = "leave the tag out: each key has its type; quote a text that starts with !";
        self.findings.report(Code::YamlFeature, span, "plans have no tags", remedy);
    }

    fn unreadable(&mut self, error: &ScanError) -> Unreadable {
        let at = self.start.saturating_add(error.marker().byte_offset().unwrap_or(usize::MAX));
        let reason = format!("this is not YAML: {}", error.info());
        let behind_dollar = self.findings.text().slice(&(at.saturating_sub(1)..at)) == "$";
        let remedy = if behind_dollar { QUOTE_VARIABLES } else { syntax_remedy(error.kind()) };
        self.findings.report(Code::Syntax, &(at..at.saturating_add(1)), reason, remedy);
        Unreadable
    }
}

fn quotes(style: ScalarStyle) -> Quotes {
    match style {
        ScalarStyle::Plain => Quotes::Absent,
        _ => Quotes::Present,
    }
}

fn syntax_remedy(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar => "indent with spaces, not with tabs",
        ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent => {
            "close the quote with the same sign that opened it, here or on the line above"
        }
        ErrorKind::UnclosedFlowCollection { .. } | ErrorKind::MismatchedFlowCollectionEnd { .. } => {
            "close each [ with ] and each { with }"
        }
        ErrorKind::MappingValueNotAllowed => {
            "quote a text that has a colon and a space in it; give each key a line of its own"
        }
        ErrorKind::RecursionLimitExceeded => "plans nest four deep; take out the outer lists and mappings",
        ErrorKind::DirectiveDisallowed => "take the line that starts with % out; quote a text that starts with %",
        ErrorKind::UnexpectedCharacter { .. } => "quote a text that starts with a special sign",
        _ => "check the indentation, quotes and brackets here and on the line above",
    }
}
