//! The contract of every server and client, kept by this chapter's.

use harness::chapter::Chapter;

const CHAPTER: Chapter = harness::this_chapter!(9001);

#[test]
fn the_server_keeps_the_contract() {
    CHAPTER.keeps_the_contract("server", &[]);
}

#[test]
fn the_client_keeps_the_contract() {
    CHAPTER.keeps_the_contract("client", &[]);
}

#[test]
fn what_the_server_announces_can_be_opened() {
    CHAPTER.opens_where_it_listens(&[]);
}

#[cfg(unix)]
#[test]
fn a_server_that_was_stopped_catches_up_on_nothing() {
    CHAPTER.catches_up_on_nothing();
}
