//! A file's text as a tree in which every key and every value knows its place.
//!
//! No value is interpreted yet: a scalar keeps the text that was written, so that `1.10` stays `1.10` and `no` stays
//! `no`.

use crate::text::Span;

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// As written, without the quotes and with escapes resolved.
    Scalar {
        text: String,
        quotes: Quotes,
    },
    List(Vec<Node>),
    Mapping(Vec<Entry>),
    /// Its fault is reported already.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quotes {
    Absent,
    Present,
}

/// A key with its value. Keys are unique within their mapping.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    /// What a person would call it.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar { .. } if self.is_nothing() => "nothing",
            Content::Scalar { .. } => "text",
            Content::List(_) => "a list",
            Content::Mapping(_) => "a mapping",
            Content::Refused => "something refused",
        }
    }

    /// YAML's null: no value, `~` or `null`.
    pub(crate) fn is_nothing(&self) -> bool {
        match &self.content {
            Content::Scalar { text, quotes: Quotes::Absent } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    pub(crate) fn scalar(span: Span, text: String, quotes: Quotes) -> Self {
        Self { span, content: Content::Scalar { text, quotes } }
    }
}
