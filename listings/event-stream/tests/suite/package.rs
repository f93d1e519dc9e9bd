//! What a registry would get: the library, its licences, and no fixture.

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
    for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "src/lib.rs"] {
        assert!(list.lines().any(|line| line == file), "{file}:\n{list}");
    }
    for folder in ["examples/", "fixtures/", "tests/", "transcripts/"] {
        assert!(!list.lines().any(|it| it.starts_with(folder)), "{list}");
    }
}
