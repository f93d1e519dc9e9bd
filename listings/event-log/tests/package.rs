//! What a registry would get: the library, its licences, and no test.
#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn the_package_is_the_library_and_its_licences() {
    let output = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--quiet"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let list = String::from_utf8(output.stdout).unwrap().replace('\\', "/");
    let list = list.lines().filter(|line| !line.starts_with("Cargo."));
    let list: Vec<_> = list.filter(|it| !it.starts_with(".cargo")).collect();
    let expected = [
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "src/history.rs",
        "src/hub.rs",
        "src/lib.rs",
    ];
    assert_eq!(list, expected);
}
