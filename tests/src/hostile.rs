//! Everything that a file system may hold, in one tree. Root only: it makes devices, gives files away and sets flags.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat, utimensat,
};

use crate::program::tool;
use crate::random::{Dice, noise, seeded, words};

/// The sockets of the tree, relative to its top: no backup keeps them, it only takes note.
pub const SOCKETS: [&[u8]; 2] = [b"kinds/socket", "kinds/套接字".as_bytes()];

/// Small files in one folder: enough for several pages of metadata.
const CROWD: usize = 3000;

/// Makes the tree below `root`, which must be an empty folder on a file system that knows attributes, flags and holes.
pub fn plant(root: &Path) -> Result<()> {
    let mut dice = seeded(1);
    names(root).context("names")?;
    kinds(root).context("kinds")?;
    links(root).context("links")?;
    sizes(root, &mut dice).context("sizes")?;
    holes(root).context("holes")?;
    crowd(root, &mut dice).context("crowd")?;
    deep(root).context("deep folders")?;
    attributes(root).context("attributes")?;
    access_lists(root).context("access lists")?;
    owners_and_modes(root).context("owners and modes")?;
    // The last two: times, because all of the above changes them, and flags, because they forbid changes.
    times(root).context("times")?;
    flags(root).context("flags")
}

/// Takes the flags away that keep even root from removing the tree.
pub fn unlock(root: &Path) -> Result<()> {
    tool(Command::new("chattr").args(["-R", "-f", "-i", "-a"]).arg(root)).map(|_| ()).or(Ok(()))
}

fn names(root: &Path) -> Result<()> {
    let folder = made(root, "names")?;
    let long = "n".repeat(255);
    let long_chinese = "长".repeat(85);
    let texts = [
        "账本 2026.txt",
        "Größe",
        "emoji 🗝",
        "e\u{301} decomposed",
        "\u{e9} composed",
        " leading",
        "trailing ",
        "-rf",
        "--",
        "*",
        "?[a-z]",
        "~",
        "$HOME",
        "'\"`",
        "a\\b",
        "\\x41",
        "\\",
        ".hidden",
        "...",
        "CON",
        "a:b",
        &long,
        &long_chinese,
    ];
    let raw: [&[u8]; 8] = [
        b"\xd5\xcb\xb1\xbe.txt",
        b"\xd6\xd0\xce\xc4\xc4\xbf\xc2\xbc",
        b"\xff\xfe",
        b"\xc3(",
        b"two\nlines",
        b"tab\there",
        b"bell\x07\x1b[31m",
        b"\x01",
    ];
    for name in texts.iter().map(|text| text.as_bytes()).chain(raw) {
        fs::write(folder.join(OsStr::from_bytes(name)), name)?;
    }
    // And below folders of such names: 中文目录 in GBK.
    let gbk = folder.join(OsStr::from_bytes(b"\xd6\xd0\xce\xc4.d/\xc4\xda\xb2\xe3"));
    fs::create_dir_all(&gbk)?;
    Ok(fs::write(gbk.join(OsStr::from_bytes(b"\xce\xc4\xbc\xfe")), "GBK all the way")?)
}

fn kinds(root: &Path) -> Result<()> {
    let folder = made(root, "kinds")?;
    let node = |name: &str, kind, device| mknodat(CWD, folder.join(name), kind, Mode::from_raw_mode(0o640), device);
    node("fifo", FileType::Fifo, 0)?;
    node("null", FileType::CharacterDevice, makedev(1, 3))?;
    node("far character device", FileType::CharacterDevice, makedev(4095, 1_048_575))?;
    node("block device", FileType::BlockDevice, makedev(7, 200))?;
    for socket in SOCKETS {
        mknodat(CWD, root.join(OsStr::from_bytes(socket)), FileType::Socket, Mode::from_raw_mode(0o755), 0)?;
    }
    fs::create_dir(folder.join("empty folder"))?;
    fs::write(folder.join("empty file"), "")?;
    Ok(())
}

fn links(root: &Path) -> Result<()> {
    let folder = made(root, "links")?;
    fs::create_dir_all(folder.join("far/away"))?;
    fs::write(folder.join("file"), words(&mut seeded(2), 2 << 20))?;
    for name in ["second", "far/third", "far/away/fourth"] {
        fs::hard_link(folder.join("file"), folder.join(name))?;
    }
    fs::write(folder.join("empty"), "")?;
    fs::hard_link(folder.join("empty"), folder.join("empty too"))?;
    let long = "x/".repeat(2047);
    for (name, target) in [
        ("dangling", "nowhere"),
        ("absolute", "/etc/hostname"),
        ("folder", "far/away"),
        ("itself", "itself"),
        ("up", "../.."),
        ("long", &long),
    ] {
        symlink(target, folder.join(name))?;
    }
    symlink(OsStr::from_bytes(b"\xd5\xcb\xb1\xbe\n"), folder.join("raw target"))?;
    // Names of one symbolic link, and of one device.
    fs::hard_link(folder.join("dangling"), folder.join("dangling too"))?;
    fs::hard_link(root.join("kinds/null"), folder.join("null too"))?;
    Ok(fs::hard_link(root.join("kinds/fifo"), folder.join("far/fifo too"))?)
}

/// Lengths at which something changes: blocks, whole-file chunks, the smallest, usual and largest cut chunk.
fn sizes(root: &Path, dice: &mut Dice) -> Result<()> {
    const MIB: usize = 1 << 20;
    let folder = made(root, "sizes")?;
    for edge in [1, 512, 4096, 64 * 1024, MIB / 2, MIB, 2 * MIB, 8 * MIB] {
        for length in [edge - 1, edge, edge + 1] {
            fs::write(folder.join(format!("noise of {length}")), noise(dice, length))?;
        }
        fs::write(folder.join(format!("words of {edge}")), words(dice, edge))?;
        fs::write(folder.join(format!("zeros of {edge}")), vec![0; edge])?;
    }
    Ok(())
}

fn holes(root: &Path) -> Result<()> {
    let folder = made(root, "holes")?;
    let large = sparse(&folder.join("three gigabytes"), 3 << 30)?;
    // Within blocks, across blocks, across chunks, beyond 32 bits of signed offset, and at the very end.
    for offset in [1, 4095, 1_000_003, (1 << 30) - 7, (1 << 31) - 1, (3 << 30) - 9] {
        large.write_all_at(b"odd place", offset)?;
    }
    large.write_all_at(&noise(&mut seeded(3), 3 << 20), (2 << 30) + 12345)?;
    sparse(&folder.join("only a hole"), 5 << 20)?;
    sparse(&folder.join("hole at the end"), 4 << 20)?.write_all_at(&[1; 5000], 0)?;
    sparse(&folder.join("hole in front"), 4 << 20)?.write_all_at(&[1; 5000], (4 << 20) - 5000)?;
    let comb = sparse(&folder.join("comb"), 1 << 20)?;
    Ok((0..64).try_for_each(|tooth| comb.write_all_at(&[9; 4096], tooth * 16384))?)
}

fn crowd(root: &Path, dice: &mut Dice) -> Result<()> {
    let folder = made(root, "crowd")?;
    for number in 0..CROWD {
        fs::write(folder.join(format!("{number:05}")), words(dice, number % 700))?;
    }
    Ok(())
}

/// As deep as a path can be named at once; deeper is another test's.
fn deep(root: &Path) -> Result<()> {
    let mut folder = made(root, "deep")?;
    for level in 0..50 {
        folder.push(format!("level {level:02} {}", "d".repeat(60)));
    }
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join("bottom"), "at the bottom")?)
}

fn attributes(root: &Path) -> Result<()> {
    let folder = made(root, "attributes")?;
    fs::write(folder.join("file"), "with attributes")?;
    symlink("file", folder.join("symlink"))?;
    fs::create_dir(folder.join("folder"))?;
    let set =
        |name: &str, attribute: &str, value: &[u8]| lsetxattr(folder.join(name), attribute, value, XattrFlags::empty());
    set("file", "user.text", "值".as_bytes())?;
    set("file", "user.binary", &(0..=255).collect::<Vec<u8>>())?;
    set("file", "user.empty", b"")?;
    set("file", "user.名字", b"a name beyond ASCII")?;
    set("file", "trusted.overlay.opaque", b"y")?;
    set("folder", "user.folder", &[0; 1000])?;
    set("folder", "trusted.folder", b"1")?;
    set("symlink", "trusted.symlink", b"on the link itself")?;
    // cap_net_raw+ep, version 2.
    fs::write(folder.join("capable"), "ping")?;
    set("capable", "security.capability", &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    Ok(())
}

fn access_lists(root: &Path) -> Result<()> {
    let folder = made(root, "access lists")?;
    fs::write(folder.join("file"), "")?;
    fs::create_dir(folder.join("folder"))?;
    let set = |list: &str, name: &str| tool(Command::new("setfacl").args(["-m", list]).arg(folder.join(name)));
    set("u:1234:rw,u:daemon:r,g:4321:rwx,m::rw", "file")?;
    set("u:1234:rwx", "folder")?;
    set("d:u:1234:rwx,d:g:4321:-,d:o::-", "folder")?;
    // Made below a default list, so it inherits one.
    fs::write(folder.join("folder/heir"), "")?;
    fs::create_dir(folder.join("folder/heir folder"))?;
    Ok(())
}

fn owners_and_modes(root: &Path) -> Result<()> {
    let folder = made(root, "owners")?;
    for (name, user, group) in
        [("daemon", 1, 1), ("nobody", 65534, 65534), ("nameless", 4242, 2424), ("far", 0x7fff_fff0, 0xffff_fff0)]
    {
        fs::write(folder.join(name), name)?;
        chown(folder.join(name), Some(user), Some(group))?;
    }
    symlink("daemon", folder.join("given symlink"))?;
    lchown(folder.join("given symlink"), Some(4242), Some(1))?;
    let modes = made(root, "modes")?;
    for mode in [0o000, 0o111, 0o200, 0o400, 0o444, 0o600, 0o777, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777] {
        let file = modes.join(format!("file {mode:04o}"));
        fs::write(&file, "")?;
        chown(&file, Some(4242), Some(4242))?;
        fs::set_permissions(&file, Permissions::from_mode(mode))?;
        let folder = modes.join(format!("folder {mode:04o}"));
        fs::create_dir(&folder)?;
        fs::write(folder.join("inside"), "")?;
        fs::set_permissions(&folder, Permissions::from_mode(mode))?;
    }
    // What a change of owner would take away again, all on one file.
    let all = modes.join("setuid, capable, given away");
    fs::write(&all, "")?;
    chown(&all, Some(1234), Some(1234))?;
    fs::set_permissions(&all, Permissions::from_mode(0o6755))?;
    Ok(lsetxattr(
        &all,
        "security.capability",
        &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        XattrFlags::empty(),
    )?)
}

fn times(root: &Path) -> Result<()> {
    let folder = made(root, "times")?;
    // ext4 keeps 1901 to 2446.
    let moments = [
        ("epoch", 0, 0),
        ("before the epoch", -1, 999_999_999),
        ("long before", -2_000_000_000, 1),
        ("nanosecond", 1_700_000_000, 123_456_789),
        ("far", 12_000_000_000, 5),
    ];
    for (name, seconds, nanoseconds) in moments {
        fs::write(folder.join(name), name)?;
        touch(&folder.join(name), seconds, nanoseconds)?;
        let below = made(&folder, &format!("folder {name}"))?;
        fs::write(below.join("content"), "")?;
        touch(&below, seconds, nanoseconds)?;
    }
    symlink("epoch", folder.join("symlink"))?;
    touch(&folder.join("symlink"), -5, 5)?;
    touch(&root.join("kinds/fifo"), -7, 7)?;
    touch(&root.join("kinds/null"), 7, 7)?;
    touch(&root.join("kinds/empty folder"), 8, 8)?;
    touch(&folder, 9, 9)
}

/// Sets the time of last modification.
pub fn touch(path: &Path, seconds: i64, nanoseconds: i64) -> Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Ok(utimensat(CWD, path, &Timestamps { last_access: time, last_modification: time }, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn flags(root: &Path) -> Result<()> {
    let folder = made(root, "flags")?;
    let flagged = |flags: &str, path: &Path| tool(Command::new("chattr").arg(flags).arg(path));
    for flags in ["+i", "+a", "+d", "+A", "+S", "+dA"] {
        let file = folder.join(format!("file {flags}"));
        fs::write(&file, flags)?;
        flagged(flags, &file)?;
    }
    for flags in ["+i", "+a", "+d", "+D", "+T"] {
        let below = made(&folder, &format!("folder {flags}"))?;
        fs::write(below.join("inside"), flags)?;
        touch(&below, 11, 11)?;
        flagged(flags, &below)?;
    }
    Ok(())
}

/// A file that is one hole.
fn sparse(path: &Path, length: u64) -> Result<File> {
    let file = File::create(path)?;
    file.set_len(length)?;
    Ok(file)
}

fn made(root: &Path, name: &str) -> Result<PathBuf> {
    let path = root.join(name);
    fs::create_dir_all(&path)?;
    Ok(path)
}
