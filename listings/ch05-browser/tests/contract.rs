//! The contract of every server, kept by this chapter's. The clients' is in
//! `node.rs`.

use contract::chapter::Chapter;

const CHAPTER: Chapter = contract::this_chapter!(9005);

#[test]
fn the_server_keeps_the_contract() {
    CHAPTER.keeps_the_contract("server", &[]);
}

#[test]
fn what_the_server_announces_can_be_opened() {
    CHAPTER.opens_where_it_listens(&["--client", "rust"]);
}
