//! The book in a real browser. Where there is none these tests are counted as
//! ignored; with `CI` set they fail. axe-core is fetched by who needs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod frame;
mod pages;
mod panels;

use std::process::ExitCode;

use harness::needs::{self, Need};

fn main() -> ExitCode {
    let tests = [
        // The longest first, so that none is left at the end.
        needs::with(
            &[Need::Chromium, pages::AXE],
            &harness::named![
                pages::every_page_is_sound_in_light,
                pages::every_page_is_sound_in_dark,
                pages::the_other_themes_are_sound,
            ],
        ),
        needs::with(
            &[Need::Chromium],
            &harness::named![
                pages::every_panel_runs_and_stops,
                pages::chapter_5_is_alive_in_its_pages,
                pages::chapter_5_comes_alive_in_plain_files,
                pages::the_book_finds_what_is_searched,
                pages::what_people_type_leads_to_its_page,
                pages::a_page_can_be_copied_from_and_walked,
                pages::keys_reach_what_a_mouse_does,
                frame::a_page_appears_when_its_server_does,
                frame::a_page_that_is_gone_gives_way,
                frame::nobody_looks_for_a_page_that_cannot_be_seen,
                frame::a_stranger_is_not_shown,
                frame::a_height_has_bounds,
                frame::a_book_elsewhere_says_how_to_open_the_page,
                panels::a_reader_runs_a_chapter_searches_and_sees_a_change,
                panels::a_panel_shows_why_a_program_cannot_be_built,
                panels::an_ended_run_does_not_start_another,
                panels::a_page_that_was_hidden_from_the_start_shows_the_change,
                panels::a_page_too_many_tries_again_at_the_next_look,
                panels::a_page_that_does_not_close_its_run_gets_no_second_one,
                panels::another_site_cannot_frame_the_book,
                panels::hidden_tabs_leave_connections_for_the_seventh,
            ],
        ),
        // A cargo that waits is a script.
        #[cfg(unix)]
        needs::with(
            &[Need::Chromium],
            &harness::named![
                frame::a_page_is_built_appears_and_comes_back,
                panels::a_panel_waits_for_its_program_and_then_runs,
            ],
        ),
    ];
    needs::run_each(&tests.concat())
}
