//! `flac.h` is what the sources say. `FLAC_HEADER=write cargo test -p flac-capi --test header` writes it.

use std::path::Path;

#[test]
fn the_header_is_current() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(crate_dir.join("cbindgen.toml")).expect("cbindgen.toml");
    let sources = [crate_dir.join("src/lib.rs")];
    let mut made = Vec::new();
    sources
        .iter()
        .fold(cbindgen::Builder::new().with_config(config), |builder, source| builder.with_src(source))
        .generate()
        .expect("the header")
        .write(&mut made);
    let path = crate_dir.join("../include/flac.h");
    if std::env::var_os("FLAC_HEADER").is_some_and(|value| value == "write") {
        std::fs::write(&path, &made).expect("the header is written");
    }
    let is = std::fs::read(&path).expect("flac/include/flac.h");
    assert!(is == made, "flac/include/flac.h is not current: FLAC_HEADER=write cargo test -p flac-capi --test header");
}
