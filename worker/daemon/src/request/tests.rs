use super::*;

fn request(source: Source) -> Request {
    Request {
        repository: RepositoryId([1; 16]),
        store: StorePlace::default(),
        full: false,
        host: "web1".into(),
        tags: BTreeMap::new(),
        source,
        limits: Limits::default(),
        before: Vec::new(),
        after: Vec::new(),
    }
}

fn files(paths: &[&str]) -> Source {
    Source::Files {
        paths: paths.iter().map(PathBuf::from).collect(),
        excludes: Vec::new(),
        exclude_caches: false,
        one_file_system: false,
        larger_than: None,
    }
}

fn command(name: &str, arguments: &[&str]) -> Source {
    Source::Command {
        name: name.into(),
        arguments: arguments.iter().map(ToString::to_string).collect(),
        seconds_max: None,
    }
}

fn check(request: Request, expect: Option<&str>) {
    let found = request.check().map_err(|fault| fault.to_string());
    match expect {
        None => assert_eq!(found, Ok(()), "{request:?}"),
        Some(part) => assert!(found.as_ref().is_err_and(|text| text.contains(part)), "{request:?}: {found:?}"),
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    check(request(files(&["/etc", "/srv"])), None);
    check(request(command("a/b", &["true"])), None);
    check(request(files(&[])), Some("no path"));
    check(request(files(&["/etc", "srv"])), Some("'srv' is not absolute"));
    check(request(command("", &["true"])), Some("no path"));
    check(request(command("a", &[])), Some("without a program"));
    check(request(command("a", &["", "x"])), Some("without a program"));
    check(Request { host: String::new(), ..request(files(&["/"])) }, Some("no host"));
    let at = |directory: &str| Request { store: StorePlace::Directory(directory.into()), ..request(files(&["/"])) };
    check(at("/mnt/backup"), None);
    check(at("mnt/backup"), Some("'mnt/backup' is not absolute"));
    check(at(""), Some("'' is not absolute"));
    let hook = Hook { arguments: Vec::new(), seconds_max: None };
    check(Request { after: vec![hook], ..request(files(&["/"])) }, Some("without a program"));
    let long = "x".repeat(REQUEST_BYTES_MAX);
    check(request(files(&["/", &format!("/{long}")])), Some("larger"));
}

/// The ledger of an older release must still recognise its requests.
#[test]
fn what_is_not_given_is_not_written() {
    let json = String::from_utf8(request(files(&["/etc"])).json()).unwrap();
    let expect =
        r#"{"repository":"01010101010101010101010101010101","host":"web1","source":{"files":{"paths":["/etc"]}}}"#;
    assert_eq!(json, expect);
    assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request(files(&["/etc"])));
    assert_ne!(request(files(&["/etc"])).fingerprint(), request(files(&["/srv"])).fingerprint());
}

/// A job that goes another way is another job.
#[test]
fn a_store_is_part_of_the_request() {
    let at = |directory: &str| Request { store: StorePlace::Directory(directory.into()), ..request(files(&["/etc"])) };
    let json = at("/mnt/backup").json();
    assert_eq!(serde_json::from_slice::<Request>(&json).unwrap(), at("/mnt/backup"));
    let prints = [request(files(&["/etc"])), at("/mnt/backup"), at("/mnt/other")].map(|request| request.fingerprint());
    assert!(prints[0] != prints[1] && prints[1] != prints[2]);
}

#[test]
fn a_restore_that_goes_on_may_go_on_slower() {
    let json = r#"{"repository":"01010101010101010101010101010101","snapshot":"SNAP","target":"/srv"}"#;
    let restore: RestoreRequest = serde_json::from_str(&json.replace("SNAP", &"02".repeat(32))).unwrap();
    let limits = Limits { download_bytes_per_second: NonZeroU64::new(1 << 20), ..Limits::default() };
    assert_eq!(RestoreRequest { limits, ..restore.clone() }.fingerprint(), restore.fingerprint());
    assert_ne!(RestoreRequest { target: "/tmp".into(), ..restore.clone() }.fingerprint(), restore.fingerprint());
}

#[test]
fn no_command_runs_forever() {
    let forever = NonZeroU64::new(u64::MAX);
    assert_eq!(command_time_max(forever), TIME_MAX);
    assert_eq!(Hook { arguments: Vec::new(), seconds_max: forever }.time_max(), TIME_MAX);
    assert_eq!(command_time_max(NonZeroU64::new(5)), Duration::from_secs(5));
}
