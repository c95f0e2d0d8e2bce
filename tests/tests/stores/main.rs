//! Stores that need a server: whether they keep the promises of the engine, and the program through them.
//!
//! The conformance cases are those of the engine's own tests, and call the engine; everything else drives the `strongroom` binary.

#[path = "../../../repository/tests/store_conformance/cases.rs"]
mod cases;
#[macro_use]
#[path = "../../../repository/tests/store_conformance/conformance.rs"]
mod conformance;
mod busy;
mod copies;
mod faults;
mod messages;
mod object_lock;
mod plan;
mod program;
mod promises;
mod sftp;
#[expect(dead_code, reason = "what the tests of the controller's SSH need besides")]
#[path = "../../../controller/tests/ssh/sshd.rs"]
mod sshd;
mod storage_host;

/// As the cases take it.
type Store = std::sync::Arc<dyn object_store::ObjectStore>;
