use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::*;

/// What a server does with one request.
#[derive(Debug, Clone)]
enum Turn {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Answers 200 with these headers more.
    Headers(&'static str),
    /// Takes the whole request, and hangs up.
    HangUp,
    /// Takes the whole request, and says nothing.
    Silence,
    /// Takes so many bytes every 20 ms, then answers 200.
    Slow(usize),
    /// Takes only the head.
    Deaf,
}

/// What it was asked.
#[derive(Debug)]
struct Asked {
    head: String,
    body: Vec<u8>,
}

struct Server {
    endpoint: String,
    asked: mpsc::UnboundedReceiver<Asked>,
}

impl Server {
    /// Serves these turns, one request on each connection.
    async fn with(turns: impl IntoIterator<Item = Turn>) -> Self {
        // What the kernel holds counts as moved, so it must be little beside what is sent.
        let socket = tokio::net::TcpSocket::new_v4().expect("socket");
        socket.set_recv_buffer_size(64 << 10).expect("buffer");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("bind");
        let listener = socket.listen(64).expect("listen");
        let endpoint = format!("http://{}", listener.local_addr().expect("address"));
        let (sender, asked) = mpsc::unbounded_channel();
        let turns: Arc<Mutex<VecDeque<Turn>>> = Arc::new(Mutex::new(turns.into_iter().collect()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let turn = turns.lock().expect("turns").pop_front();
                let turn = turn.unwrap_or(Turn::Answer(501, String::new()));
                tokio::spawn(serve(stream, turn, sender.clone()));
            }
        });
        Self { endpoint, asked }
    }

    fn store(&self, stall: Duration) -> S3Store {
        let place = match crate::store::Location::parse("s3://bucket/prefix") {
            Ok(crate::store::Location::S3(place)) => place,
            other => panic!("{other:?}"),
        };
        let options = S3Options::new(Some(self.endpoint.clone()), credentials());
        let (url, endpoint) = options.endpoint(place.bucket()).expect("endpoint");
        let transport = Transport::new(&endpoint).expect("transport").stalling_after(stall);
        S3Store::over(&place, &options, &url, &transport).expect("store")
    }

    /// The first lines of all requests so far.
    fn requests(&mut self) -> Vec<Asked> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

fn credentials() -> CredentialSource {
    let key = AccessKey { id: "id".into(), secret: Zeroizing::new("very-secret".into()), session_token: None };
    CredentialSource::Key(key)
}

async fn serve(mut stream: TcpStream, turn: Turn, sender: mpsc::UnboundedSender<Asked>) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.expect("head") == 0 {
            return;
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8(bytes).expect("text");
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
    if let Turn::Deaf = turn {
        std::future::pending::<()>().await;
    }
    while body.len() < length {
        if let Turn::Slow(piece) = turn {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let mut taken = vec![0; piece];
            let count = stream.read(&mut taken).await.expect("body");
            body.extend_from_slice(&taken[..count]);
        } else if stream.read_buf(&mut body).await.expect("body") == 0 {
            return;
        }
    }
    sender.send(Asked { head, body }).expect("somebody asks");
    let (status, text, more) = match turn {
        Turn::Answer(status, text) => (status, text, ""),
        Turn::Headers(more) => (200, String::new(), more),
        Turn::Slow(_) => (200, String::new(), ""),
        Turn::HangUp => return,
        Turn::Silence | Turn::Deaf => std::future::pending().await,
    };
    let answer = format!(
        "HTTP/1.1 {status} X\r\nETag: \"e\"\r\nLast-Modified: Sun, 22 Nov 2026 18:00:00 GMT\r\nContent-Length: {}\r\n{more}Connection: close\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes()).await.expect("answer");
}

fn fault(status: u16, code: &str) -> Turn {
    Turn::Answer(status, format!("<Error><Code>{code}</Code><Message>why</Message></Error>"))
}

fn done() -> Turn {
    Turn::Answer(200, String::new())
}

const LONG: Duration = Duration::from_secs(60);

async fn create(store: &S3Store, content: &str) -> Result<PutResult> {
    store.put_opts(&Path::from("config"), content.to_owned().into(), PutMode::Create.into()).await
}

fn count(asked: &[Asked], method: &str) -> usize {
    asked.iter().filter(|asked| asked.head.starts_with(method)).count()
}

#[tokio::test]
async fn an_upload_says_its_checksum_and_its_condition() {
    let mut server = Server::with([done()]).await;
    create(&server.store(LONG), "content").await.expect("put");
    let [Asked { head, body }] = &server.requests()[..] else { panic!("one request") };
    let head = head.to_lowercase();
    assert!(head.starts_with("put /bucket/prefix/config "), "{head}");
    assert_eq!(body, b"content");
    // printf content | openssl dgst -sha256
    let hex = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
    let base64 = "7xactdnprirfijv9ggusfeixd722aw0+yqmil7nsn3m=";
    assert!(head.contains(&format!("x-amz-content-sha256: {hex}")), "{head}");
    assert!(
        head.contains(&format!("x-amz-checksum-sha256: {base64}")) || head.contains("x-amz-checksum-sha256: "),
        "{head}"
    );
    assert!(head.contains("if-none-match: *"), "{head}");
    assert!(!head.contains("very-secret"), "{head}");
}

#[tokio::test]
async fn a_busy_store_is_asked_again_and_a_refusal_is_not() {
    let mut server = Server::with([fault(503, "SlowDown"), fault(500, "InternalError"), done()]).await;
    create(&server.store(LONG), "content").await.expect("at the third time");
    assert_eq!(count(&server.requests(), "PUT"), 3);

    for (turn, expect) in [
        (fault(403, "AccessDenied"), ErrorKind::PermissionDenied),
        (fault(404, "NoSuchBucket"), ErrorKind::NoStore),
        (fault(507, "InsufficientStorage"), ErrorKind::NoSpace),
        (fault(412, "PreconditionFailed"), ErrorKind::AlreadyExists),
        (fault(501, "NotImplemented"), ErrorKind::Other),
    ] {
        let mut server = Server::with([turn.clone(), done()]).await;
        let error = create(&server.store(LONG), "content").await.expect_err("refused");
        assert_eq!(kind(&error), expect, "{turn:?}");
        assert_eq!(count(&server.requests(), "PUT"), 1, "{turn:?}");
    }
}

#[tokio::test]
async fn a_get_is_tried_again_too() {
    let mut server = Server::with([fault(503, "SlowDown"), Turn::HangUp, Turn::Answer(200, "content".into())]).await;
    let store = server.store(LONG);
    let found = store.get(&Path::from("config")).await.expect("get").bytes().await.expect("bytes");
    assert_eq!(found, "content");
    assert_eq!(count(&server.requests(), "GET"), 3);
}

/// The first try created the object and its answer was lost; the second is told that the name is taken.
#[tokio::test]
async fn a_put_whose_answer_was_lost_knows_its_own_object() {
    for lost in [Turn::HangUp, fault(500, "InternalError")] {
        let taken = fault(412, "PreconditionFailed");
        let ours = Server::with([lost.clone(), taken.clone(), Turn::Answer(200, "content".into())]).await;
        create(&ours.store(LONG), "content").await.expect("it is ours");

        for others in ["CONTENT", "content of another"] {
            let server = Server::with([lost.clone(), taken.clone(), Turn::Answer(200, others.into())]).await;
            let error = create(&server.store(LONG), "content").await.expect_err("it is another's");
            assert_eq!(kind(&error), ErrorKind::AlreadyExists, "{error}");
        }
    }
}

/// Nothing was uncertain, so an object of the same bytes is another's: exactly one of two racers wins.
#[tokio::test]
async fn a_put_that_was_refused_at_once_is_not_taken_for_done() {
    let mut server = Server::with([fault(412, "PreconditionFailed"), Turn::Answer(200, "content".into())]).await;
    let error = create(&server.store(LONG), "content").await.expect_err("taken");
    assert_eq!(kind(&error), ErrorKind::AlreadyExists);
    assert_eq!(count(&server.requests(), "GET"), 0);
}

#[tokio::test]
async fn a_dead_connection_is_noticed_and_a_slow_one_is_borne() {
    let stall = Duration::from_millis(400);
    for dead in [Turn::Silence, Turn::Deaf] {
        let server = Server::with([dead.clone(), dead.clone(), done()]).await;
        let store = server.store(stall);
        let content = vec![7_u8; 8 << 20];
        let name = Path::from("packs/aa/one");
        let put = store.put_opts(&name, content.into(), PutMode::Create.into()).await;
        put.unwrap_or_else(|error| panic!("{dead:?}: the third server listens: {error}"));
    }
    // 32 MiB at 6 MB/s or less take over four seconds; what the kernel holds at the end takes less than one.
    let stall = Duration::from_millis(1500);
    let begun = Instant::now();
    let mut server = Server::with([Turn::Slow(512 << 10)]).await;
    let content = vec![7_u8; 32 << 20];
    let store = server.store(stall);
    store.put_opts(&Path::from("packs/aa/one"), content.into(), PutMode::Create.into()).await.expect("slow");
    assert!(begun.elapsed() > 2 * stall, "too fast to show anything");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn only_the_hint_is_overwritten() {
    let mut server = Server::with([done(), done()]).await;
    let store = server.store(LONG);
    store.put(&Path::from(HINT), "1".into()).await.expect("the hint");
    let refused = store.put(&Path::from("config"), "1".into()).await.expect_err("refused");
    assert!(matches!(refused, object_store::Error::NotSupported { .. }), "{refused}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_is_shown_holds_no_secret() {
    let server = Server::with([fault(403, "SignatureDoesNotMatch")]).await;
    let store = server.store(LONG);
    let error = create(&store, "content").await.expect_err("refused");
    for text in [format!("{store:?}"), format!("{error:?}"), crate::error::chain(&error)] {
        assert!(!text.contains("very-secret"), "{text}");
    }
}

#[tokio::test]
async fn the_lock_of_an_object_is_what_the_server_says_of_it() {
    let until = "x-amz-object-lock-retain-until-date: 2026-12-22T18:00:00.000Z\r\n";
    let cases = [
        ("", None),
        ("x-amz-object-lock-mode: COMPLIANCE\r\n", None),
        ("x-amz-object-lock-mode: COMPLIANCE\r\nUNTIL", Some(LockMode::Compliance)),
        ("x-amz-object-lock-mode: GOVERNANCE\r\nUNTIL", Some(LockMode::Governance)),
        ("x-amz-object-lock-mode: MAYBE\r\nUNTIL", None),
    ];
    for (headers, expect) in cases {
        let headers: &'static str = headers.replace("UNTIL", until).leak();
        let server = Server::with([Turn::Headers(headers)]).await;
        let lock = server.store(LONG).lock_of(&Path::from("config")).await.unwrap();
        let ends = "2026-12-22T18:00:00Z".parse().unwrap();
        assert_eq!(lock, expect.map(|mode| ObjectLock { mode, until: ends }), "{headers}");
    }
}

#[tokio::test]
async fn a_lock_is_asked_for_in_a_signed_request_that_is_tried_again() {
    let mut server = Server::with([fault(503, "SlowDown"), done(), fault(403, "AccessDenied")]).await;
    let store = server.store(LONG);
    let name = Path::from("packs/aa/one");
    let lock = ObjectLock { mode: LockMode::Compliance, until: "2026-12-22T18:00:00.7Z".parse().unwrap() };
    store.put_lock(&name, lock).await.expect("at the second time");
    let error = store.put_lock(&name, lock).await.expect_err("denied");
    assert_eq!(kind(&error), ErrorKind::PermissionDenied);
    let asked = server.requests();
    assert_eq!(asked.len(), 3);
    for Asked { head, body } in asked {
        let head = head.to_lowercase();
        assert!(head.starts_with("put /bucket/prefix/packs/aa/one?retention http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nauthorization: aws4-hmac-sha256 credential=id/"), "{head}");
        let body = String::from_utf8(body).unwrap();
        assert!(
            body.contains("<Mode>COMPLIANCE</Mode><RetainUntilDate>2026-12-22T18:00:00Z</RetainUntilDate>"),
            "{body}"
        );
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
        let checksum = data_encoding::BASE64.encode(digest.as_ref()).to_lowercase();
        assert!(head.contains(&format!("x-amz-checksum-sha256: {checksum}\r\n")), "{head}");
    }
}

#[tokio::test]
async fn deletions_that_only_hide_are_counted() {
    let server = Server::with([done(), Turn::Headers("x-amz-delete-marker: true\r\n"), done()]).await;
    let store = server.store(LONG);
    let name = Path::from("packs/aa/one");
    for expect in [0, 1, 1] {
        store.delete(&name).await.expect("delete");
        assert_eq!(store.hidden_count(), expect);
    }
}
