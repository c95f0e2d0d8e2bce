//! The storage engine through the `strongroom` program: whatever happens to it, stored data comes back or the loss is named.
//!
//! Every test has folders, caches, keys and disks of its own, so they run side by side. What needs root, or a tool that is not installed, is skipped and
//! written down. `STRONGROOM_TESTS_FULL=1` runs the long forms.

mod bit_flips;
mod bit_rot;
mod capacity;
mod copies;
mod costs;
mod damage;
mod damaged_memory;
mod drills;
mod faults;
mod found_by_others;
mod full_disk;
mod group_parity;
mod hostile_tree;
mod independent_reader;
mod kill;
mod kill_restore;
mod maintenance;
mod model;
mod one_loss;
mod people;
mod prune;
mod recover;
mod reserve;
mod restore_by_plan;
mod restore_checks;
mod restore_on_host;
mod restore_one_line;
mod restore_plans;
mod restore_promote;
mod restore_requests;
mod restore_taken_up;
mod secrets;
#[expect(dead_code, reason = "what the tests of the controller's SSH need besides")]
#[path = "../../../controller/tests/ssh/sshd.rs"]
mod sshd;
mod worker;
mod writer_key;
