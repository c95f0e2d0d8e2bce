//! The generated code is what the schemas say today. After a change of a schema, `UPDATE_GENERATED=1 cargo test -p strongroom-proto` writes it anew.

use std::error::Error;
use std::fs;
use std::path::Path;

const SCHEMAS: [&str; 3] = ["worker", "gateway", "operator"];

#[test]
fn generated_code_equals_the_schemas() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (schema, kept) = (root.join("schema"), root.join("src/generated"));
    let made = tempfile::tempdir()?;
    let files = SCHEMAS.map(|name| schema.join(format!("{name}.proto")));
    let descriptors = protox::compile(files, [schema])?;
    tonic_prost_build::configure().bytes(".strongroom.gateway.v1").out_dir(made.path()).compile_fds(descriptors)?;
    for name in SCHEMAS.map(|name| format!("strongroom.{name}.v1.rs")) {
        let new = fs::read_to_string(made.path().join(&name))?;
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(kept.join(&name), &new)?;
        }
        let old = fs::read_to_string(kept.join(&name))?;
        assert!(
            new == old,
            "{name} is not what its schema says: run UPDATE_GENERATED=1 cargo test -p strongroom-proto"
        );
    }
    Ok(())
}
