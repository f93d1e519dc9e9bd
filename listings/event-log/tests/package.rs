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
        "src/disk/commit.rs",
        "src/disk/files.rs",
        "src/disk/mod.rs",
        "src/disk/segment.rs",
        "src/disk/shelf.rs",
        "src/history.rs",
        "src/hub.rs",
        "src/lib.rs",
        "src/log.rs",
        "src/memory.rs",
        "src/tail.rs",
    ];
    assert_eq!(list, expected);
}

/// Without its feature `std`, nothing beneath has it.
#[test]
fn without_std_it_asks_nobody_for_std() {
    let features = |args: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--edges=normal", "--prefix=none", "--locked"])
            .args(["--package=event-log", "--format={lib}:{f}"])
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let bare = features(&["--no-default-features"]);
    assert!(bare.contains("\nevent_stream:"), "{bare}");
    assert!(!bare.contains("std"), "{bare}");
    let with_std = features(&[]);
    assert!(with_std.contains("\nevent_stream:std"), "{with_std}");
}
