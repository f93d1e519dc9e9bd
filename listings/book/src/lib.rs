//! A book that serves itself: it renders its pages, sends them to a browser,
//! renders them again when a source changes, and runs the programs it is
//! about. Every push to a page is an event stream of the kind it teaches.

pub mod live;
pub mod page;
pub mod render;
pub mod serve;
pub mod watch;

// ANCHOR: chapters
/// Every chapter that has a program; a page names one in `data-chapter`.
pub const CHAPTERS: &[&dashboard::Chapter] = &[
    &ch01_sockets::CHAPTER,
    &ch02_blocking::CHAPTER,
    &ch03_hyper::CHAPTER,
    &ch04_axum::CHAPTER,
    &ch05_browser::CHAPTER,
];
// ANCHOR_END: chapters

/// The chapter of that name.
#[must_use]
pub fn chapter(name: &str) -> Option<&'static dashboard::Chapter> {
    CHAPTERS.iter().find(|chapter| chapter.name == name).copied()
}
