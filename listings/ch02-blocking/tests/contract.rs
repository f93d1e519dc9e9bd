//! The contract of every server and client, kept by this chapter's.

use contract::chapter::Chapter;

const CHAPTER: Chapter = contract::this_chapter!(9002);

#[test]
fn the_server_keeps_the_contract() {
    CHAPTER.keeps_the_contract("server", &[]);
}

#[test]
fn the_client_keeps_the_contract() {
    CHAPTER.keeps_the_contract("client", &[]);
}
