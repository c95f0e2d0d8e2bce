//! What a bucket answers when it does not do what it was asked, as the error that every store speaks.
//!
//! `object_store` would put the whole answer into its message. That names request ids, the string that was signed, and
//! with some servers the session token; here only the code and a short message are kept.

use std::error::Error as StdError;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

use crate::store::ErrorKind;

/// The longest message of a server that is repeated, in bytes.
const MESSAGE_BYTES_MAX: usize = 200;

/// A failed request.
#[derive(Debug, Clone, thiserror::Error)]
pub enum S3Error {
    /// The server answered, and not with success.
    #[error("{}{}", meaning.sentence(), detail(*status, code, message, *meaning))]
    Answer {
        /// The HTTP status.
        status: u16,
        /// The code of the answer, empty if there was none.
        code: String,
        /// The server's own words.
        message: String,
        /// What it means for us.
        meaning: Meaning,
    },
    /// No connection.
    #[error("cannot connect to {endpoint}: {why}")]
    Unreachable {
        /// Where to.
        endpoint: String,
        /// The innermost cause.
        why: String,
    },
    /// The server's certificate is not trusted.
    #[error("{endpoint} has a certificate that is not trusted here: {why}")]
    Untrusted {
        /// Where to.
        endpoint: String,
        /// The innermost cause.
        why: String,
    },
    /// Not a byte moved for too long.
    #[error("{endpoint} moved no byte for {} seconds", after.as_secs())]
    Stalled {
        /// Where to.
        endpoint: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection ended in the middle.
    #[error("the connection to {endpoint} broke: {why}")]
    Broken {
        /// Where to.
        endpoint: String,
        /// The innermost cause.
        why: String,
    },
    /// There are no usable credentials.
    #[error("{0}")]
    Credentials(String),
}

/// What an answer means for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// No object of that name.
    NoObject,
    /// No bucket of that name.
    NoBucket,
    /// The condition of the request does not hold.
    Condition,
    /// The object is as the asker has it.
    NotModified,
    /// The credentials are wrong or out of date.
    BadCredentials,
    /// The credentials are fine but do not suffice.
    Denied,
    /// The clocks differ by more than the protocol allows.
    Clock,
    /// The store, the bucket or the quota is full.
    Full,
    /// The bucket is elsewhere.
    OtherRegion,
    /// The range begins beyond the object's end.
    Range,
    /// What arrived is not what was sent.
    Checksum,
    /// Busy or failing for a moment.
    Busy,
    /// Anything else.
    Other,
}

impl Meaning {
    fn of(status: u16, code: &str, message: &str) -> Self {
        match code {
            // Garage's word for keys and signatures that are wrong, too.
            "AccessDenied" if ["signature", "No such key"].iter().any(|words| message.contains(words)) => {
                return Self::BadCredentials;
            }
            // And for a bucket that holds as much as it may.
            "AccessDenied" if message.contains("quota is reached") => return Self::Full,
            "NoSuchBucket" => return Self::NoBucket,
            "NoSuchKey" => return Self::NoObject,
            "RequestTimeTooSkewed" => return Self::Clock,
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "InvalidClientTokenId"
            | "NotSignedUp"
            | "InvalidSecurity" => return Self::BadCredentials,
            "AuthorizationHeaderMalformed"
            | "PermanentRedirect"
            | "TemporaryRedirect"
            | "IllegalLocationConstraintException" => {
                return Self::OtherRegion;
            }
            "XAmzContentSHA256Mismatch" | "BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch" => {
                return Self::Checksum;
            }
            "SlowDown"
            | "SlowDownRead"
            | "SlowDownWrite"
            | "RequestTimeout"
            | "InternalError"
            | "ServiceUnavailable"
            | "Busy"
            | "OperationAborted"
            | "ConditionalRequestConflict"
            | "RequestLimitExceeded"
            | "ThrottlingException" => {
                return Self::Busy;
            }
            "AccountProblem" | "AllAccessDisabled" => return Self::Denied,
            _ => {}
        }
        // Every look-alike has its own word for it: QuotaExceeded, InsufficientStorage, XMinioStorageFull, XMinioAdminBucketQuotaExceeded, StorageFull …
        if ["Quota", "StorageFull", "InsufficientStorage", "NoSpace", "DiskFull"].iter().any(|word| code.contains(word))
        {
            return Self::Full;
        }
        match status {
            304 => Self::NotModified,
            301 | 302 | 307 | 308 => Self::OtherRegion,
            401 => Self::BadCredentials,
            403 => Self::Denied,
            404 => Self::NoObject,
            412 => Self::Condition,
            416 => Self::Range,
            507 => Self::Full,
            408 | 409 | 425 | 429 | 500 | 502..=506 | 508..=599 => Self::Busy,
            _ => Self::Other,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::NoObject => "there is no such object",
            Self::NoBucket => "the bucket does not exist",
            Self::Condition => "an object of this name exists",
            Self::NotModified => "the object is unchanged",
            Self::BadCredentials => "the store does not accept these credentials",
            Self::Denied => "the store denies this to these credentials",
            Self::Clock => "this machine's clock and the store's are too far apart",
            Self::Full => "the store or its quota is full",
            Self::OtherRegion => "the bucket is in another region or at another endpoint",
            Self::Range => "the object ends before the range begins",
            Self::Checksum => "the bytes did not arrive as they were sent",
            Self::Busy => "the store cannot do it at the moment",
            Self::Other => "the store refuses the request",
        }
    }
}

fn detail(status: u16, code: &str, message: &str, meaning: Meaning) -> String {
    let code = if code.is_empty() { format!("{status}") } else { format!("{status} {code}") };
    // What the server says is worth repeating only where we do not know better.
    match meaning {
        Meaning::Denied | Meaning::Busy | Meaning::Other | Meaning::OtherRegion if !message.is_empty() => {
            format!(" ({code}: {message})")
        }
        _ => format!(" ({code})"),
    }
}

impl S3Error {
    /// From an answer's status and its XML, which may be cut off or missing.
    pub(super) fn answer(status: u16, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let code = element(&text, "Code").filter(|code| code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let code = code.unwrap_or_default().to_owned();
        let message = shortened(element(&text, "Message").unwrap_or_default());
        let meaning = Meaning::of(status, &code, &message);
        Self::Answer { status, code, message, meaning }
    }

    /// From a request that got no answer.
    pub(super) fn transport(endpoint: &str, error: &reqwest::Error) -> Self {
        let (endpoint, why) = (endpoint.to_owned(), innermost(error));
        if error.is_connect() && why.contains("certificate") {
            Self::Untrusted { endpoint, why }
        } else if error.is_connect() {
            Self::Unreachable { endpoint, why }
        } else {
            Self::Broken { endpoint, why }
        }
    }

    /// Finds it among the causes of an error.
    pub(crate) fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(cause) = next {
            if let Some(found) = cause.downcast_ref() {
                return Some(found);
            }
            next = cause.source();
        }
        None
    }

    /// What callers ask.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Answer { meaning, .. } => match meaning {
                Meaning::NoObject => ErrorKind::NotFound,
                Meaning::NoBucket => ErrorKind::NoStore,
                Meaning::Condition => ErrorKind::AlreadyExists,
                Meaning::BadCredentials | Meaning::Denied | Meaning::Clock => ErrorKind::PermissionDenied,
                Meaning::Full => ErrorKind::NoSpace,
                Meaning::Busy | Meaning::Checksum => ErrorKind::Transient,
                Meaning::NotModified | Meaning::OtherRegion | Meaning::Range | Meaning::Other => ErrorKind::Other,
            },
            Self::Unreachable { .. } | Self::Stalled { .. } | Self::Broken { .. } => ErrorKind::Transient,
            Self::Untrusted { .. } | Self::Credentials(_) => ErrorKind::PermissionDenied,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::Answer { meaning, .. } => match meaning {
                Meaning::NoBucket => {
                    "make the bucket with the store's own tools, or correct the location and STRONGROOM_S3_ENDPOINT"
                }
                Meaning::BadCredentials => {
                    "check the access key and its secret (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or the credentials file), and that they are for this endpoint"
                }
                Meaning::Denied => "let this access key read, write and list the bucket, or use another key",
                Meaning::Clock => "set this machine's clock",
                Meaning::Full => {
                    "make room in the bucket or raise its quota, then run the same command again: what is stored already counts"
                }
                Meaning::OtherRegion => {
                    "set AWS_REGION to the bucket's region, or STRONGROOM_S3_ENDPOINT to where the bucket is"
                }
                Meaning::Busy | Meaning::Checksum => "run the same command again in a while",
                Meaning::NoObject | Meaning::Condition | Meaning::NotModified | Meaning::Range | Meaning::Other => {
                    return None;
                }
            },
            Self::Unreachable { .. } | Self::Stalled { .. } | Self::Broken { .. } => {
                "check STRONGROOM_S3_ENDPOINT, the network and the store's server, then run the same command again"
            }
            Self::Untrusted { .. } => "give the certificate of the store's own authority in STRONGROOM_S3_CA",
            Self::Credentials(_) => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or STRONGROOM_S3_CREDENTIALS_FILE, or STRONGROOM_S3_CREDENTIALS_COMMAND"
            }
        })
    }

    /// Whether the request may have had its effect in spite of this.
    pub(super) fn is_uncertain(&self) -> bool {
        match self {
            Self::Answer { status, .. } => *status >= 500,
            Self::Stalled { .. } | Self::Broken { .. } => true,
            Self::Unreachable { .. } | Self::Untrusted { .. } | Self::Credentials(_) => false,
        }
    }

    /// As `object_store`'s client wants it: `Request` is what it tries again.
    pub(super) fn into_http(self) -> HttpError {
        let is_transient = self.kind() == ErrorKind::Transient;
        let kind = if is_transient { HttpErrorKind::Request } else { HttpErrorKind::Unknown };
        HttpError::new(kind, self)
    }

    /// As every store says it.
    pub(super) fn into_store(self, name: &str) -> object_store::Error {
        let (path, source) = (name.to_owned(), Box::new(self.clone()));
        match &self {
            Self::Answer { meaning: Meaning::NoObject, .. } => object_store::Error::NotFound { path, source },
            Self::Answer { meaning: Meaning::NotModified, .. } => object_store::Error::NotModified { path, source },
            Self::Answer { meaning: Meaning::Condition, .. } => object_store::Error::Precondition { path, source },
            // Its own variant for denials would say the same again in more words; the kind is found in the cause.
            _ => object_store::Error::Generic { store: "S3", source },
        }
    }
}

/// The text of the first element of that name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    after.split_once("</").map(|(text, _)| text)
}

/// One line, without signs that move a terminal's cursor.
fn shortened(text: &str) -> String {
    let plain: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let plain = plain.trim().trim_end_matches('.');
    let end = plain.char_indices().map(|(at, _)| at).take_while(|at| *at <= MESSAGE_BYTES_MAX).last().unwrap_or(0);
    if plain.len() <= MESSAGE_BYTES_MAX { plain.to_owned() } else { format!("{}…", &plain[..end]) }
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    shortened(&cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str) -> S3Error {
        let xml = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>Why.</Message><StringToSign>secret</StringToSign></Error>"
        );
        S3Error::answer(status, if code.is_empty() { b"" } else { xml.as_bytes() })
    }

    #[test]
    fn answers_are_told_apart() {
        let check = |status, code, expect| assert_eq!(answer(status, code).kind(), expect, "{status} {code}");
        check(404, "NoSuchKey", ErrorKind::NotFound);
        check(404, "", ErrorKind::NotFound);
        check(404, "NoSuchBucket", ErrorKind::NoStore);
        check(412, "PreconditionFailed", ErrorKind::AlreadyExists);
        check(409, "ConditionalRequestConflict", ErrorKind::Transient);
        check(403, "AccessDenied", ErrorKind::PermissionDenied);
        check(403, "", ErrorKind::PermissionDenied);
        check(403, "SignatureDoesNotMatch", ErrorKind::PermissionDenied);
        check(400, "ExpiredToken", ErrorKind::PermissionDenied);
        check(403, "QuotaExceeded", ErrorKind::NoSpace);
        check(507, "", ErrorKind::NoSpace);
        check(507, "XMinioStorageFull", ErrorKind::NoSpace);
        check(400, "XMinioAdminBucketQuotaExceeded", ErrorKind::NoSpace);
        check(403, "InsufficientStorage", ErrorKind::NoSpace);
        let full = b"<Error><Code>AccessDenied</Code><Message>Forbidden: Bucket size quota is reached, maximum total size</Message></Error>";
        assert_eq!(S3Error::answer(403, full).kind(), ErrorKind::NoSpace, "Garage");
        check(503, "SlowDown", ErrorKind::Transient);
        check(400, "RequestTimeout", ErrorKind::Transient);
        check(429, "", ErrorKind::Transient);
        check(500, "", ErrorKind::Transient);
        check(400, "BadDigest", ErrorKind::Transient);
        check(501, "NotImplemented", ErrorKind::Other);
        check(301, "PermanentRedirect", ErrorKind::Other);
        check(416, "InvalidRange", ErrorKind::Other);
    }

    #[test]
    fn every_answer_comes_to_a_stores_error_of_its_kind() {
        for (status, code) in [(404, ""), (403, ""), (404, "NoSuchBucket"), (507, ""), (503, ""), (501, ""), (401, "")]
        {
            let error = answer(status, code);
            let expect = error.kind();
            assert_eq!(crate::store::kind(&error.clone().into_store("config")), expect, "{status} {code}");
            let nested = object_store::Error::Generic { store: "S3", source: Box::new(error.into_http()) };
            assert_eq!(crate::store::kind(&nested), expect, "{status} {code} inside the client's error");
        }
    }

    #[test]
    fn only_code_and_message_are_repeated() {
        let error = answer(403, "SignatureDoesNotMatch");
        assert_eq!(error.to_string(), "the store does not accept these credentials (403 SignatureDoesNotMatch)");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        assert_eq!(
            answer(501, "NotImplemented").to_string(),
            "the store refuses the request (501 NotImplemented: Why)"
        );
        let long = format!("<Code>Odd</Code><Message>{}\u{1b}[2J</Message>", "字".repeat(1000));
        let error = S3Error::answer(400, long.as_bytes()).to_string();
        assert!(error.len() < 300 && !error.contains('\u{1b}'), "{error}");
        assert_eq!(S3Error::answer(502, b"<html>\xff").to_string(), "the store cannot do it at the moment (502)");
    }
}
