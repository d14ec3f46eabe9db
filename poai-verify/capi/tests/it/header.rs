//! Compares `include/poai.h` with the sources. `POAI_WRITE_HEADER=1` writes it.

use std::path::Path;

#[test]
fn the_header_is_current() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for room in ["facts", "code", "verify", "json", "chain", "work", "times", "supply"] {
        builder = builder.with_src(here.join("src").join(room).with_extension("rs"));
    }
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let path = here.join("include/poai.h");
    if std::env::var_os("POAI_WRITE_HEADER").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let made = String::from_utf8(made).unwrap();
    assert!(made.contains("poai_verify(") && made.contains("POAI_INVALID_OPENING 33"));
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(made == committed, "run the test with POAI_WRITE_HEADER=1 and commit include/poai.h");
}
