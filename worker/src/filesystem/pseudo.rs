//! File systems that hold no data: views of the kernel that look like files. Reading `/proc` or `/sys` as data is useless at best, and
//! `/proc/kcore` claims to be 128 TiB long.

use std::io;
use std::os::fd::BorrowedFd;

/// Magic numbers from linux/magic.h, in the order of the names.
const PSEUDO: [(&str, u32); 20] = [
    ("autofs", 0x0187),
    ("binfmt_misc", 0x4249_4e4d),
    ("bpf", 0xcafe_4a11),
    ("cgroup", 0x0027_e0eb),
    ("cgroup2", 0x6367_7270),
    ("configfs", 0x6265_6570),
    ("debugfs", 0x6462_6720),
    ("devpts", 0x1cd1),
    ("efivarfs", 0xde5e_81e4),
    ("fusectl", 0x6573_5543),
    ("mqueue", 0x1980_0202),
    ("nsfs", 0x6e73_6673),
    ("proc", 0x9fa0),
    ("pstore", 0x6165_676c),
    ("rpc_pipefs", 0x6759_6969),
    ("securityfs", 0x7363_6673),
    ("selinuxfs", 0xf97c_ff8c),
    ("smackfs", 0x4341_5d53),
    ("sysfs", 0x6265_6572),
    ("tracefs", 0x7472_6163),
];

/// The name of the pseudo file system that an open directory is on, if it is one.
pub fn name_of(directory: BorrowedFd<'_>) -> io::Result<Option<&'static str>> {
    let magic = rustix::fs::fstatfs(directory)?.f_type as u32;
    Ok(PSEUDO.iter().find(|(_, number)| *number == magic).map(|(name, _)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn proc_is_no_data_and_a_disk_is() {
        let proc = std::fs::File::open("/proc").unwrap();
        assert_eq!(name_of(proc.as_fd()).unwrap(), Some("proc"));
        let here = std::fs::File::open(env!("CARGO_MANIFEST_DIR")).unwrap();
        assert_eq!(name_of(here.as_fd()).unwrap(), None);
    }
}
