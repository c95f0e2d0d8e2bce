//! What is asked of a host: POSIX shell, run as root, with nothing on its standard input.
//!
//! A *check* ends with 0 if things are as they should be, and changes nothing. A *make* brings that about from whatever was there before, or says why not.
//! The shell ends at the first command that fails, but for one before `&&` or behind `!`: such a line would let a check pass, so there is none in a check.

use std::fmt;

use crate::ssh::quoting::quoted;

/// The account that the controller logs in as.
pub const WORKER_USER: &str = "strongroom";
/// All that its key can start.
pub const FORCED_COMMAND: &str = "/usr/local/bin/strongroom-worker connect";

const PROGRAM_FOLDER: &str = "/usr/local/lib/strongroom";
const PROGRAM: &str = "/usr/local/lib/strongroom/strongroom-worker";
const LINK: &str = "/usr/local/bin/strongroom-worker";
const UNIT: &str = "strongroom-worker.service";
const UNIT_FILE: &str = "/etc/systemd/system/strongroom-worker.service";
const UNIT_TEXT: &str = include_str!("strongroom-worker.service");
const STATE: &str = "/var/lib/strongroom";
const HOME: &str = "/var/lib/strongroom/ssh";
const SSH_FOLDER: &str = "/var/lib/strongroom/ssh/.ssh";
const KEYS_FILE: &str = "/var/lib/strongroom/ssh/.ssh/authorized_keys";

/// Ends no heredoc by accident: no unit and no key has such a line.
const END: &str = "END-OF-STRONGROOM-FILE";

/// A script for `sh -s`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script(String);

impl Script {
    fn new(lines: impl Into<String>) -> Self {
        Self(lines.into())
    }

    /// What the shell gets. The function is read whole before any of it runs, so that a command in it cannot read the rest of the script as its input.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = &self.0;
        format!(
            "set -eu\nLC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nexport LC_ALL PATH\numask 022\n\
             fail() {{ echo \"$*\" >&2; exit 1; }}\nflush() {{ sync \"$@\" 2>/dev/null || sync; }}\nmain() {{\n{lines}\n}}\nmain </dev/null\nexit\n"
        )
    }
}

impl fmt::Display for Script {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Whether the host can have a worker at all.
pub(super) fn requirements(machine: &str) -> Script {
    Script::new(format!(
        r#"[ "$(uname -s)" = Linux ] || fail "this host runs $(uname -s), not Linux"
[ "$(uname -m)" = {machine} ] || fail "the worker's program is for {machine}, and this host is $(uname -m)"
[ -d /run/systemd/system ] || fail "systemd does not run here"
for tool in chmod chown cmp cut getent groupadd install mktemp mv readlink sha256sum stat sync systemctl useradd userdel usermod; do
  command -v "$tool" >/dev/null || fail "$tool is not installed"
done"#
    ))
}

pub(super) fn account_check() -> Script {
    Script::new(format!(
        r#"[ "$(getent passwd {WORKER_USER} | cut -d: -f6,7)" = {HOME}:/bin/sh ]
[ "$(id -Gn {WORKER_USER})" = {WORKER_USER} ]
[ "$(getent shadow {WORKER_USER} | cut -d: -f2)" = '*' ]"#
    ))
}

/// A password of `*` fits nothing; with `!`, as accounts get it by default, sshd may take the account for a locked one and refuse its key too.
pub(super) fn account() -> Script {
    Script::new(format!(
        r#"getent group {WORKER_USER} >/dev/null || groupadd --system {WORKER_USER}
if entry=$(getent passwd {WORKER_USER}); then
  home=$(echo "$entry" | cut -d: -f6)
  [ "$home" = {HOME} ] || fail "there is an account {WORKER_USER} already, with the home $home: it is somebody else's"
  usermod --gid {WORKER_USER} --groups '' --shell /bin/sh --password '*' {WORKER_USER}
else
  useradd --system --gid {WORKER_USER} --home-dir {HOME} --no-create-home --shell /bin/sh --password '*' --comment 'Strongroom controller' {WORKER_USER}
fi"#
    ))
}

pub(super) fn program_check(sha256: &str) -> Script {
    Script::new(format!(
        r#"[ -f {PROGRAM} ]
[ ! -L {PROGRAM} ]
[ "$(sha256sum <{PROGRAM} | cut -d' ' -f1)" = {sha256} ]
[ "$(stat -c %u:%g:%a {PROGRAM})" = 0:0:755 ]
[ "$(readlink {LINK})" = {PROGRAM} ]"#
    ))
}

/// Puts an uploaded file in its place. It is hashed where only root can still change it.
pub(super) fn program(uploaded: &str, sha256: &str) -> Script {
    let uploaded = quoted(uploaded);
    Script::new(format!(
        r#"install -d -o root -g root -m 0755 {PROGRAM_FOLDER}
new=$(mktemp {PROGRAM_FOLDER}/.strongroom-worker.XXXXXX)
trap 'rm -f "$new"' EXIT
cat {uploaded} >"$new"
hash=$(sha256sum <"$new" | cut -d' ' -f1)
[ "$hash" = {sha256} ] || fail "the copy has the hash $hash instead of {sha256}"
chown 0:0 "$new"
chmod 0755 "$new"
flush "$new"
code=0
"$new" --version >/dev/null 2>&1 || code=$?
case $code in 126 | 127) fail "the program cannot be started on this host (code $code)" ;; esac
mv -f "$new" {PROGRAM}
ln -sfn {PROGRAM} {LINK}.new
mv -fT {LINK}.new {LINK}
flush {PROGRAM_FOLDER}"#
    ))
}

/// The unit is as it should be, and what runs is the program that is there now: the process of a replaced one shows it as deleted.
pub(super) fn unit_check() -> Script {
    Script::new(format!(
        r#"cmp -s - {UNIT_FILE} <<'{END}'
{UNIT_TEXT}{END}
systemctl is-enabled --quiet {UNIT}
systemctl is-active --quiet {UNIT}
[ "$(systemctl show --property NeedDaemonReload --value {UNIT})" = no ]
[ "$(readlink "/proc/$(systemctl show --property MainPID --value {UNIT})/exe")" = {PROGRAM} ]"#
    ))
}

/// The restart ends when the worker says that it is ready, or has failed to.
pub(super) fn unit() -> Script {
    Script::new(format!(
        r#"cat >{UNIT_FILE}.new <<'{END}'
{UNIT_TEXT}{END}
chmod 0644 {UNIT_FILE}.new
flush {UNIT_FILE}.new
mv -f {UNIT_FILE}.new {UNIT_FILE}
flush /etc/systemd/system
systemctl daemon-reload
systemctl enable --quiet {UNIT}
systemctl restart {UNIT} && return
systemctl status --no-pager --full --lines=20 {UNIT} >&2 || true
fail "the worker's daemon does not start""#
    ))
}

pub(super) fn key_check(key: &str) -> Script {
    let text = keys_text(key);
    Script::new(format!(
        r#"cmp -s - {KEYS_FILE} <<'{END}'
{text}{END}
[ "$(stat -c %u:%g:%a {HOME} {SSH_FOLDER} {KEYS_FILE} | tr '\n' ' ')" = '0:0:755 0:0:755 0:0:644 ' ]
[ "$(ls -A {SSH_FOLDER})" = authorized_keys ]"#
    ))
}

pub(super) fn key(key: &str) -> Script {
    let text = keys_text(key);
    Script::new(format!(
        r#"if command -v sshd >/dev/null; then
  files=$(sshd -T -C user={WORKER_USER},host=localhost,addr=127.0.0.1 | while read -r option value; do [ "$option" != authorizedkeysfile ] || echo "$value"; done)
  case " $files " in
  *' .ssh/authorized_keys '* | *' %h/.ssh/authorized_keys '*) ;;
  *) fail "sshd does not read .ssh/authorized_keys of {WORKER_USER}, but ${{files:-nothing}}" ;;
  esac
fi
[ -d {STATE} ] || install -d -o root -g root -m 0711 {STATE}
install -d -o root -g root -m 0755 {HOME} {SSH_FOLDER}
new=$(mktemp {HOME}/.authorized_keys.XXXXXX)
trap 'rm -f "$new"' EXIT
cat >"$new" <<'{END}'
{text}{END}
chown 0:0 "$new"
chmod 0644 "$new"
flush "$new"
mv -f "$new" {KEYS_FILE}
find {SSH_FOLDER} -mindepth 1 ! -name authorized_keys -delete
flush {SSH_FOLDER}"#
    ))
}

/// The sockets among these that any user of the host can connect to: what a key that may forward would reach.
pub(super) fn open_sockets(candidates: &[&str]) -> Script {
    let candidates = candidates.join(" ");
    Script::new(format!(
        r#"for socket in {candidates}; do
  [ -S "$socket" ] || continue
  case $(stat -c %a "$socket") in *[2367]) echo "$socket" ;; esac
done"#
    ))
}

/// What a proof that failed may have left: sshd makes such a socket for a key that may listen, and does not take it away again.
pub(super) fn proof_sockets_gone() -> Script {
    Script::new("rm -f /tmp/strongroom-proof-????????????????")
}

pub(super) fn unit_gone_check() -> Script {
    Script::new(format!("[ ! -e {UNIT_FILE} ]\nif systemctl is-active --quiet {UNIT}; then exit 1; fi"))
}

pub(super) fn unit_gone() -> Script {
    Script::new(format!(
        r#"[ ! -e {UNIT_FILE} ] || systemctl disable --quiet --now {UNIT}
rm -rf {UNIT_FILE} {UNIT_FILE}.d
systemctl daemon-reload
systemctl reset-failed {UNIT} 2>/dev/null || true"#
    ))
}

pub(super) fn program_gone_check() -> Script {
    Script::new(format!("[ ! -e {PROGRAM_FOLDER} ]\n[ ! -L {LINK} ]"))
}

pub(super) fn program_gone() -> Script {
    Script::new(format!("rm -rf {PROGRAM_FOLDER}\n[ ! -L {LINK} ] || rm -f {LINK}"))
}

pub(super) fn account_gone_check() -> Script {
    Script::new(format!(
        "for base in passwd group; do\n  if getent \"$base\" {WORKER_USER} >/dev/null; then exit 1; fi\ndone\n[ ! -e {HOME} ]"
    ))
}

/// First the key, so that nobody comes in any more; then who is still in; then the account.
pub(super) fn account_gone() -> Script {
    Script::new(format!(
        r#"rm -rf {HOME}
if user=$(id -u {WORKER_USER} 2>/dev/null); then
  [ "$(getent passwd {WORKER_USER} | cut -d: -f6)" = {HOME} ] || fail "the account {WORKER_USER} is somebody else's"
  for process in /proc/[0-9]*; do
    [ "$(stat -c %u "$process" 2>/dev/null)" != "$user" ] || kill -KILL "${{process#/proc/}}" 2>/dev/null || true
  done
  userdel --force {WORKER_USER}
fi
if getent group {WORKER_USER} >/dev/null; then groupdel {WORKER_USER}; fi"#
    ))
}

pub(super) fn state_gone_check() -> Script {
    Script::new(
        "for folder in /var/lib/strongroom /var/cache/strongroom /run/strongroom; do [ ! -e \"$folder\" ] || exit 1; done",
    )
}

pub(super) fn state_gone() -> Script {
    Script::new("rm -rf /var/lib/strongroom /var/cache/strongroom /run/strongroom")
}

/// The whole of `authorized_keys`. `key` is one line, such as `ssh-ed25519 AAAA…`.
fn keys_text(key: &str) -> String {
    format!(
        "# Written by `strongroom host add`. This key can start the worker's connection and nothing else.\n\
         restrict,command=\"{FORCED_COMMAND}\" {key} strongroom\n"
    )
}
