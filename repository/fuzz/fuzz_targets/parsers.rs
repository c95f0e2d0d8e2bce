//! The first byte chooses the parser (or SRM_PARSER names it), the rest is its input; what breaks goes into `repository/tests/corpus/<parser>/`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_repository::parsers::ALL;

fuzz_target!(|data: &[u8]| {
    let named = std::env::var("SRM_PARSER").ok();
    let Some((choice, input)) = data.split_first() else { return };
    let chosen = match &named {
        Some(name) => ALL.iter().find(|(known, _)| known == name),
        None => ALL.get(usize::from(*choice) % ALL.len()),
    };
    if let Some((_, parse)) = chosen {
        parse(if named.is_some() { data } else { input });
    }
});
