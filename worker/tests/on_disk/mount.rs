//! A mounted repository shows what was backed up. Needs `/dev/fuse`, and root or `fusermount3`.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Place, noise};
use crate::restoring::{listing, rsync};
use strongroom_worker::mount::{self, Mounted, Visitors};

/// Mounts, or says that this host cannot.
fn mounted(place: &Place) -> Option<(Mounted, PathBuf)> {
    if !Path::new("/dev/fuse").exists() {
        tracing::warn!("skipped: no /dev/fuse");
        return None;
    }
    let at = place.target("mnt");
    fs::create_dir_all(&at).unwrap();
    let repository = place.open();
    let handle = place.block_on(async { tokio::runtime::Handle::current() });
    let mounted = place.block_on(mount::mount(&repository, &at, Visitors::Owner, handle)).unwrap();
    Some((mounted, at))
}

fn plant(place: &Place) {
    for number in 0..600 {
        place.write(&format!("many/file-{number:03}"), noise(number, (number * 13 % 5000) as usize));
    }
    place.write("large", noise(1, 700_000));
    let gbk = place.at("names").join(std::ffi::OsStr::from_bytes(b"\xd5\xcb\xb1\xbe"));
    place.write("names/账本", "x");
    fs::write(gbk, "gbk").unwrap();
    symlink("many/file-001", place.at("link")).unwrap();
    fs::hard_link(place.at("large"), place.at("names/large-too")).unwrap();
    let sparse = File::create(place.at("sparse")).unwrap();
    sparse.write_all_at(&noise(3, 50_000), 3 << 20).unwrap();
    sparse.set_len(9 << 20).unwrap();
    let status = Command::new("setfattr").args(["-n", "user.note", "-v", "kept"]).arg(place.at("large")).status();
    assert!(status.unwrap().success());
}

#[test]
fn it_shows_what_was_backed_up() {
    let place = Place::new();
    plant(&place);
    place.backup();
    let Some((mounted, at)) = mounted(&place) else { return };
    let names = listing(&at);
    assert!(
        names.len() == 2 && names[1] == "latest" && names[0].len() == "1970-01-01T00-00-00Z-12345678".len(),
        "{names:?}"
    );
    assert_eq!(fs::read_link(at.join("latest")).unwrap().to_str().unwrap(), names[0]);
    let data = at.join("latest/data");
    assert_eq!(rsync(&place.data(), &data), "");
    assert_eq!(listing(&data.join("many")).len(), 600);
    // A part in the middle, across chunks and across the edge of a hole.
    let (shown, source) = (File::open(data.join("sparse")).unwrap(), File::open(place.at("sparse")).unwrap());
    let (mut left, mut right) = (vec![1; 100_000], vec![2; 100_000]);
    shown.read_exact_at(&mut left, (3 << 20) - 4321).unwrap();
    source.read_exact_at(&mut right, (3 << 20) - 4321).unwrap();
    assert_eq!(left, right);
    let (one, other) = (fs::metadata(data.join("large")).unwrap(), fs::metadata(data.join("names/large-too")).unwrap());
    assert_eq!(one.ino(), other.ino());
    assert_eq!(fs::metadata(data.join("absent")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(File::create(data.join("new")).unwrap_err().kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    drop(shown);
    mounted.unmount().unwrap();
    assert_eq!(listing(&at), [""; 0]);
}

#[test]
fn new_snapshots_appear_and_others_may_unmount() {
    let place = Place::new();
    place.write("file", "first");
    place.backup();
    let Some((mut mounted, at)) = mounted(&place) else { return };
    assert_eq!(fs::read_to_string(at.join("latest/data/file")).unwrap(), "first");
    place.write("file", "second!");
    place.backup();
    let names = listing(&at);
    assert_eq!(names.len(), 3);
    let latest = fs::read_link(at.join("latest")).unwrap();
    assert_eq!(fs::read_to_string(at.join(latest).join("data/file")).unwrap(), "second!");
    let read = |name: &String| fs::read_to_string(at.join(name).join("data/file")).unwrap();
    let mut contents: Vec<String> = names[..2].iter().map(read).collect();
    contents.sort();
    assert_eq!(contents, ["first", "second!"]);
    assert!(Command::new("umount").arg(&at).status().unwrap().success());
    place.block_on(mounted.ended());
    drop(mounted);
    assert_eq!(listing(&at), [""; 0]);
}
