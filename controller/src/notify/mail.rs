//! Notices by mail.

use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message as Letter, Tokio1Executor};
use strongroom_plans::{Mail, MailAddress, MailTls, SourcePath};

use super::{Message, secret};

/// For each word with the server.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// As long as a mail is read.
const TEXT_BYTES_MAX: usize = 256 << 10;

pub(super) async fn send(mail: &Mail, message: &Message) -> Result<(), String> {
    let letter = letter(mail, message)?;
    let host = mail.host().as_str();
    let tls = match mail.tls() {
        MailTls::Starttls => Tls::Required(parameters(host, mail.ca_file())?),
        MailTls::Tls => Tls::Wrapper(parameters(host, mail.ca_file())?),
        MailTls::None => Tls::None,
    };
    let server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host);
    let mut server = server.port(mail.port()).tls(tls).timeout(Some(ANSWER_MAX));
    if let Some(login) = mail.login() {
        let password = secret::read(login.password_file.as_path())?;
        server = server.credentials(Credentials::new(login.user.as_str().to_owned(), password.to_string()));
    }
    server.build::<Tokio1Executor>().send(letter).await.map(drop).map_err(|error| strongroom_repository::chain(&error))
}

fn letter(mail: &Mail, message: &Message) -> Result<Letter, String> {
    let from = mailbox(mail.from())?;
    // The same for the same notices: a server or a reader that got them already can tell.
    let id = format!("<{}@{}>", message.id, from.email.domain());
    // Nobody's absence is to be answered to us (RFC 3834).
    let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    let mut letter =
        Letter::builder().from(from).subject(&message.subject).message_id(Some(id)).raw_header(automatic).date_now();
    for address in mail.to() {
        letter = letter.to(mailbox(address)?);
    }
    letter.singlepart(SinglePart::plain(message.text(TEXT_BYTES_MAX))).map_err(|error| error.to_string())
}

fn mailbox(address: &MailAddress) -> Result<Mailbox, String> {
    let parsed = address.as_str().parse::<Address>();
    parsed.map(|parsed| Mailbox::new(None, parsed)).map_err(|error| format!("{address}: {error}"))
}

fn parameters(host: &str, ca_file: Option<&SourcePath>) -> Result<TlsParameters, String> {
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(file) = ca_file {
        let pem = std::fs::read(file.as_path()).map_err(|error| format!("{file} cannot be read: {error}"))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| format!("{file}: {error}"))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    parameters.build().map_err(|error| strongroom_repository::chain(&error))
}
