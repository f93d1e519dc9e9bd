//! Behind nginx, which ends the TLS: *Drop me* and the wire lab work there,
//! as the page posts in chapter 4.
#![cfg_attr(unix, allow(clippy::unwrap_used))]

use harness::needs::{self, Need};
use std::process::ExitCode;

#[cfg(unix)]
#[path = "../../ch04-axum/tests/common/nginx.rs"]
mod proxied;

fn main() -> ExitCode {
    #[cfg(unix)]
    return needs::run(
        &[Need::Nginx],
        &harness::named![the_page_works_behind_a_proxy],
    );
    #[cfg(not(unix))]
    needs::run(&[Need::Elsewhere("needs a Unix socket")], &[])
}

#[cfg(unix)]
fn the_page_works_behind_a_proxy() {
    use proxied::{PASSED_ON, Proxied};

    const HOST: &str = "Host: chat.example";
    const BYTES: &str = "Content-Type: application/octet-stream";
    const OURS: &str = "Origin: https://chat.example";
    let exe = env!("CARGO_BIN_EXE_ch05-browser");
    for (args, host) in [
        (["--host", "chat.example"], PASSED_ON),
        (
            ["--origin", "https://chat.example"],
            "proxy_set_header Host localhost;",
        ),
        (["--origin", "https://chat.example"], ""),
    ] {
        let proxied = Proxied::start(exe, &args, host);
        assert_eq!(proxied.ask("GET /", &[HOST], "").status, "200");
        let mut reader = proxied.ask("GET /events?reader=me", &[HOST], "");
        reader.read_to("data: Hello!");
        for (origin, status) in [
            ("Origin: https://evil.example", "403"),
            ("Origin: http://127.0.0.1:3000", "403"),
            (OURS, "204"),
        ] {
            let drop_me =
                proxied.ask("DELETE /readers/me", &[HOST, origin], "");
            assert_eq!(drop_me.status, status, "{args:?} {origin}");
        }
        reader.read_to("this line has no en");
        let lab = proxied.ask("POST /lab", &[HOST, OURS, BYTES], "data: x\n\n");
        assert_eq!(lab.status, "201", "{args:?}");
    }
}
