//! The page is in the executable: whatever is new in its folder, too, makes
//! the executable a new one.

fn main() {
    println!("cargo:rerun-if-changed=page");
    println!("cargo:rerun-if-changed=../event-stream/fixtures");
}
