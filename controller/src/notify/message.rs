//! What goes by a way at once: notices of one occasion, however many.

use serde::Serialize;

use super::{Notice, Occasion};

/// Notices of one occasion, at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Message {
    /// The same for the same notices.
    pub id: String,
    /// The site.
    pub site: String,
    /// What kind of news it is.
    pub occasion: Occasion,
    /// In one line.
    pub subject: String,
    /// The news.
    pub notices: Vec<Notice>,
}

/// Names in a subject; the list below it has all of them.
const NAMED_MAX: usize = 3;

impl Message {
    /// A message of these notices, of which there must be one.
    #[must_use]
    pub fn of(site: &str, notices: Vec<Notice>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for notice in &notices {
            hasher.update(notice.id.as_bytes()).update(b"\n");
        }
        let id = hasher.finalize().to_hex()[..16].to_owned();
        let occasion = notices.first().map_or(Occasion::Test, |notice| notice.occasion);
        let subject = match &notices[..] {
            [one] => format!("[{site}] {}: {}", occasion.word(), one.subject),
            all => {
                let named = all.iter().take(NAMED_MAX).map(|notice| format!("{} on {}", notice.plan, notice.host));
                let more = all.len().saturating_sub(NAMED_MAX);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("[{site}] {} {}: {}{more}", all.len(), occasion.word(), named.collect::<Vec<_>>().join(", "))
            }
        };
        Self { id, site: site.to_owned(), occasion, subject, notices }
    }

    /// The news as one text for people, of at most so many bytes.
    #[must_use]
    pub fn text(&self, bytes_max: usize) -> String {
        let mut text = format!("{}\n", self.subject);
        for (at, notice) in self.notices.iter().enumerate() {
            let run = notice.run.as_ref().map(|run| format!("\n  strongroom runs show {}", run.id)).unwrap_or_default();
            let line = format!("\n{} {}{run}", notice.time.strftime("%Y-%m-%d %H:%M:%S UTC"), notice.subject);
            let more = format!("\n… and {} more", self.notices.len() - at);
            if text.len() + line.len() + more.len() > bytes_max {
                text.push_str(&more);
                break;
            }
            text.push_str(&line);
        }
        let end = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text
    }

    /// As one JSON document.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        // BUG if it fails: strings, numbers and lists serialise.
        serde_json::to_vec(self).expect("a message serialises")
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn notices(count: usize) -> Vec<Notice> {
        let notice = |number| Notice {
            id: format!("{number:016x}"),
            time: Timestamp::UNIX_EPOCH,
            occasion: Occasion::Failed,
            subject: format!("nightly on web{number}: failed: 磁盘已满"),
            plan: "nightly".into(),
            host: format!("web{number}"),
            run: None,
        };
        (1..=count).map(notice).collect()
    }

    #[test]
    fn two_hundred_failures_are_one_message() {
        let message = Message::of("example", notices(200));
        assert_eq!(
            message.subject,
            "[example] 200 failed: nightly on web1, nightly on web2, nightly on web3 and 197 more"
        );
        assert_eq!(message.text(usize::MAX).lines().filter(|line| line.contains(": failed: ")).count(), 200);
        assert_eq!(message.id, Message::of("elsewhere", notices(200)).id);
        assert_ne!(message.id, Message::of("example", notices(199)).id);
    }

    #[test]
    fn one_failure_is_its_own_subject() {
        let message = Message::of("example", notices(1));
        assert_eq!(message.subject, "[example] failed: nightly on web1: failed: 磁盘已满");
    }

    #[test]
    fn a_text_has_room_for_what_it_leaves_out() {
        for bytes_max in 0..2000 {
            assert!(Message::of("example", notices(40)).text(bytes_max).len() <= bytes_max);
        }
        let text = Message::of("example", notices(40)).text(1000);
        assert!(text.ends_with(" more") && text.contains("web2"), "{text}");
    }
}
