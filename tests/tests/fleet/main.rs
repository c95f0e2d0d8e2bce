//! A fleet of real hosts (see [`strongroom_tests::lab`]), driven through the program as its operator would.
//!
//! Every test boots a lab of its own, so they run side by side. Where there can be no lab, they are skipped and written down.

mod controller_service;
mod direct_access;
mod faults;
mod first_backup;
mod helpers;
mod jump;
mod lab;
mod lab_faults;
mod restore_on_host;
mod restore_walk;
mod stores;
