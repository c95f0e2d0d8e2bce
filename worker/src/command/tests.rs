use super::*;

fn order(arguments: &[&str], time_max: Duration) -> Order {
    Order {
        arguments: arguments.iter().map(ToString::to_string).collect(),
        environment: vec![("STRONGROOM_JOB".into(), "j1".into())],
        time_max,
    }
}

fn start(arguments: &[&str], take: Take, time_max: Duration) -> Result<Running, CommandError> {
    Running::start(order(arguments, time_max), take, Arc::default())
}

const LONG: Duration = Duration::from_secs(60);

fn hook(arguments: &[&str]) -> Result<(), String> {
    start(arguments, Take::End, LONG).and_then(Running::finish).map_err(|error| error.to_string())
}

fn output(script: &str) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    start(&["sh", "-c", script], Take::Output, LONG).unwrap().read_to_end(&mut all).map(|_| all)
}

#[test]
fn every_way_to_end_is_told() {
    assert_eq!(hook(&["true"]), Ok(()));
    assert_eq!(
        hook(&["sh", "-c", "echo out; echo err >&2; exit 3"]).unwrap_err().replace("err / out", "out / err"),
        "'sh' exited with 3: out / err"
    );
    assert_eq!(hook(&["sh", "-c", "kill -9 $$"]).unwrap_err(), "'sh' was killed by signal 9");
    assert_eq!(hook(&["/does/not/exist"]).unwrap_err(), "cannot start '/does/not/exist'");
}

#[test]
fn the_environment_is_clean() {
    let found = String::from_utf8(output("env | cut -d= -f1 | sort; echo $STRONGROOM_JOB; pwd").unwrap()).unwrap();
    let found: Vec<&str> = found.lines().filter(|line| *line != "_" && *line != "PWD").collect();
    assert_eq!(found, ["HOME", "LANG", "PATH", "STRONGROOM_JOB", "j1", "/"]);
}

#[test]
fn a_stream_ends_well_only_if_its_command_does() {
    assert_eq!(output("printf abc").unwrap(), b"abc");
    assert_eq!(output("yes | head -c 3000000").unwrap().len(), 3_000_000);
    // Standard error beside it is neither mixed in nor in the way.
    assert_eq!(output("head -c 3000000 /dev/zero >&2; echo end").unwrap(), b"end\n");
    assert!(
        output("printf abc; echo disk full >&2; exit 1").unwrap_err().to_string().ends_with("exited with 1: disk full")
    );
    assert!(output("printf abc; kill -9 $$").is_err());
    // Closed early, and then failed.
    assert!(output("exec >&-; exit 4").is_err());
}

#[test]
fn what_takes_too_long_is_ended_with_all_its_children() {
    let begun = Instant::now();
    let mut running =
        start(&["sh", "-c", "sleep 1000 & echo $!; wait"], Take::Output, Duration::from_millis(300)).unwrap();
    let mut said = String::new();
    let error = running.read_to_string(&mut said).unwrap_err();
    assert!(error.to_string().contains("did not end within"), "{error}");
    drop(running);
    assert!(begun.elapsed() < LONG);
    assert_is_gone(said.trim());
}

#[test]
fn what_ignores_the_request_to_end_is_ended_by_force() {
    let mut running =
        start(&["sh", "-c", "trap '' TERM; echo $$; while :; do sleep 1; done"], Take::Output, LONG).unwrap();
    let mut said = [0; 20];
    let count = running.read(&mut said).unwrap();
    drop(running);
    assert_is_gone(std::str::from_utf8(&said[..count]).unwrap().trim());
}

#[test]
fn a_request_to_stop_is_noticed() {
    let stop = Arc::new(AtomicBool::new(false));
    let running = Running::start(order(&["sleep", "1000"], LONG), Take::End, Arc::clone(&stop)).unwrap();
    let waiting = std::thread::spawn(|| running.finish());
    stop.store(true, Ordering::Relaxed);
    assert!(matches!(waiting.join().unwrap(), Err(CommandError::Stopped { .. })));
}

#[test]
fn a_hook_may_leave_a_service_behind() {
    let begun = Instant::now();
    assert_eq!(hook(&["sh", "-c", "setsid sleep 20 & exit 0"]), Ok(()));
    assert!(begun.elapsed() < Duration::from_secs(15));
}

fn assert_is_gone(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    if let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) {
        let mut watched = [PollFd::new(&process, PollFlags::IN)];
        let ended = poll(&mut watched, Some(&Timespec { tv_sec: 60, tv_nsec: 0 })).unwrap();
        assert_eq!(ended, 1, "a child goes on");
    }
}
