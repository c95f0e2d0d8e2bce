//! A host's name in a `known_hosts` file, and the patterns that match it.

use aws_lc_rs::hmac;
use russh::keys::ssh_key::known_hosts::HostPatterns;

use crate::ssh::target::SSH_PORT;

/// A host as `known_hosts` files name it: in small letters, with its port in brackets unless that is 22.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    host: String,
    name: String,
}

impl Name {
    /// Of an address and a port.
    #[must_use]
    pub fn new(address: &str, port: u16) -> Self {
        let host = address.to_ascii_lowercase();
        let name = match port {
            SSH_PORT => host.clone(),
            port => format!("[{host}]:{port}"),
        };
        Self { host, name }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Whether a line's patterns are for this host: one of them matches, and none with a `!` does.
    pub(super) fn is_in(&self, hosts: &HostPatterns) -> bool {
        match hosts {
            HostPatterns::HashedName { salt, hash } => {
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                hmac::verify(&key, self.name.as_bytes(), hash).is_ok()
            }
            HostPatterns::Patterns(patterns) => self.is_among(patterns),
        }
    }

    /// Whether a certificate for `principal` is one for this host. The port is no part of that.
    pub(super) fn is_principal(&self, principal: &str) -> bool {
        matches(&principal.to_ascii_lowercase(), &self.host)
    }

    fn is_among(&self, patterns: &[String]) -> bool {
        let mut found = false;
        for pattern in patterns {
            let pattern = pattern.to_ascii_lowercase();
            match pattern.strip_prefix('!') {
                Some(excluded) if matches(excluded, &self.name) => return false,
                Some(_) => {}
                None => found |= matches(&pattern, &self.name),
            }
        }
        found
    }
}

/// `*` stands for any characters or none, `?` for one. Takes at most pattern times text steps, whatever is in the file.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at_pattern, mut at_text) = (0, 0);
    // Where to go on when what follows the last star did not fit: the star takes one character more.
    let mut retry = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                retry = Some((at_pattern + 1, at_text + 1));
                at_pattern += 1;
            }
            Some(one) if *one == b'?' || *one == text[at_text] => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => match retry {
                Some((behind_star, next)) => {
                    (at_pattern, at_text) = (behind_star, next);
                    retry = Some((behind_star, next + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        let rows = [
            ("web1", "web1", true),
            ("web1", "web2", false),
            ("web?", "web1", true),
            ("web?", "web", false),
            ("*", "", true),
            ("*", "web1", true),
            ("*.example", "web1.example", true),
            ("*.example", "web1.example.org", false),
            ("w*b*1", "wbwb11", true),
            ("w*b*1", "wbwb12", false),
            ("", "", true),
            ("", "x", false),
            ("[*]:22", "[web1]:22", true),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
