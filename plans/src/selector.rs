//! Which hosts a plan is for: `role=db & env=prod`.
//!
//! | written | matches |
//! |---|---|
//! | `role=db` | hosts whose label `role` is `db` |
//! | `role!=db` | all others, also those without the label |
//! | `role` | hosts that have the label |
//! | `name=web1` | the host of that name |
//! | `*` | all hosts |
//! | `!a`, `a & b`, `a \| b`, `(a)` | not, and, or; `!` binds most closely, then `&` |

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::fault::Code;
use crate::host::Host;
use crate::name::Name;
use crate::report::quoted;
use crate::values::{Refusal, Written};

/// A condition on hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    text: String,
    term: Term,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    All,
    Has(Name),
    Is(Name, Name),
    Not(Box<Term>),
    And(Vec<Term>),
    Or(Vec<Term>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'s> {
    Word(&'s str),
    Sign(&'static str),
}

/// What stands for a host's name beside its labels, so no label may be called so.
pub(crate) const NAME_KEY: &str = "name";

/// The longer ones first, as `!=` begins with `!`.
const SIGNS: [&str; 8] = ["!=", "=", "!", "&", "|", "(", ")", "*"];

/// Longer than anybody reads; it also bounds how deep conditions nest.
const TEXT_BYTES_MAX: usize = 1000;

const REMEDY: &str = "write labels joined by & (and), | (or), ! (not) and parentheses, such as `role=db & !env=test`; \
                      `name=web1` is one host, \"*\" are all";

impl Selector {
    /// The condition as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it holds for a host.
    pub fn matches(&self, host: &Host) -> bool {
        self.term.holds(host)
    }

    /// Whether it is `*`: all hosts that there are and will be.
    pub fn is_everything(&self) -> bool {
        self.term == Term::All
    }

    /// The labels that it asks for.
    pub(crate) fn keys(&self) -> BTreeSet<&str> {
        let mut keys = BTreeSet::new();
        self.term.add_keys(&mut keys);
        keys
    }
}

impl Term {
    fn holds(&self, host: &Host) -> bool {
        match self {
            Self::All => true,
            Self::Has(key) => key.as_str() == NAME_KEY || host.labels().contains_key(key),
            Self::Is(key, value) if key.as_str() == NAME_KEY => host.name() == value,
            Self::Is(key, value) => host.labels().get(key) == Some(value),
            Self::Not(term) => !term.holds(host),
            Self::And(terms) => terms.iter().all(|term| term.holds(host)),
            Self::Or(terms) => terms.iter().any(|term| term.holds(host)),
        }
    }

    fn add_keys<'t>(&'t self, keys: &mut BTreeSet<&'t str>) {
        match self {
            Self::All => {}
            Self::Has(key) | Self::Is(key, _) => {
                keys.insert(key.as_str());
            }
            Self::Not(term) => term.add_keys(keys),
            Self::And(terms) | Self::Or(terms) => terms.iter().for_each(|term| term.add_keys(keys)),
        }
    }
}

/// What stands where something else should.
enum Unread<'s> {
    End,
    Token(Token<'s>),
    Char(char),
    Name(&'s str),
}

struct Reader<'s> {
    tokens: Vec<Token<'s>>,
    at: usize,
}

impl<'s> Reader<'s> {
    fn new(text: &'s str) -> Result<Self, Unread<'s>> {
        let mut tokens = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|char: char| !(char.is_ascii_alphanumeric() || "-_.".contains(char)));
            let (token, bytes) = match (SIGNS.iter().find(|sign| rest.starts_with(**sign)), word.unwrap_or(rest.len()))
            {
                (Some(sign), _) => (Token::Sign(sign), sign.len()),
                (None, 0) => return Err(Unread::Char(first)),
                (None, bytes) => (Token::Word(&rest[..bytes]), bytes),
            };
            tokens.push(token);
            rest = rest[bytes..].trim_start();
        }
        Ok(Self { tokens, at: 0 })
    }

    fn next(&mut self) -> Option<Token<'s>> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.tokens.get(self.at), Some(Token::Sign(next)) if *next == sign);
        self.at += usize::from(is_next);
        is_next
    }

    fn whole(mut self) -> Result<Term, Unread<'s>> {
        let term = self.any()?;
        self.next().map_or(Ok(term), |token| Err(Unread::Token(token)))
    }

    fn any(&mut self) -> Result<Term, Unread<'s>> {
        let mut terms = vec![self.all()?];
        while self.take("|") {
            terms.push(self.all()?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Term::Or(terms) })
    }

    fn all(&mut self) -> Result<Term, Unread<'s>> {
        let mut terms = vec![self.one()?];
        while self.take("&") {
            terms.push(self.one()?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Term::And(terms) })
    }

    fn one(&mut self) -> Result<Term, Unread<'s>> {
        match self.next().ok_or(Unread::End)? {
            Token::Sign("!") => Ok(Term::Not(Box::new(self.one()?))),
            Token::Sign("*") => Ok(Term::All),
            Token::Sign("(") => {
                let term = self.any()?;
                match self.next() {
                    Some(Token::Sign(")")) => Ok(term),
                    Some(token) => Err(Unread::Token(token)),
                    None => Err(Unread::End),
                }
            }
            Token::Word(key) => {
                let key = name(key)?;
                if self.take("=") {
                    Ok(Term::Is(key, self.value()?))
                } else if self.take("!=") {
                    Ok(Term::Not(Box::new(Term::Is(key, self.value()?))))
                } else {
                    Ok(Term::Has(key))
                }
            }
            token => Err(Unread::Token(token)),
        }
    }

    fn value(&mut self) -> Result<Name, Unread<'s>> {
        match self.next().ok_or(Unread::End)? {
            Token::Word(value) => name(value),
            token => Err(Unread::Token(token)),
        }
    }
}

fn name(text: &str) -> Result<Name, Unread<'_>> {
    text.parse().map_err(|_| Unread::Name(text))
}

impl FromStr for Selector {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.len() > TEXT_BYTES_MAX {
            let reason = format!("the selector has {} bytes, and at most {TEXT_BYTES_MAX} are read", text.len());
            return Err(Refusal::new(reason, "give the hosts a label of their own, and select that"));
        }
        let refused = |unread| {
            let found = match unread {
                Unread::End => "breaks off at its end".to_owned(),
                Unread::Token(Token::Word(found)) => format!("has {} where a sign should be", quoted(found)),
                Unread::Token(Token::Sign(found)) => format!("has {} where it means nothing", quoted(found)),
                Unread::Char(found) => format!("has {} in it", quoted(&found.to_string())),
                Unread::Name(found) => format!("has {}, which is no name", quoted(found)),
            };
            Refusal::new(format!("the selector {} {found}", quoted(text)), REMEDY)
        };
        let term = Reader::new(text).and_then(Reader::whole).map_err(refused)?;
        Ok(Self { text: text.to_owned(), term })
    }
}

impl Written for Selector {
    const WHAT: &'static str = "a selector of hosts such as `role=db & env=prod`";
    const CODE: Code = Code::BadSelector;
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
