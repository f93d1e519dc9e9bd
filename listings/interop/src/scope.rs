//! Which checks a client can be held to.

/// Why the client of this key cannot be held to that check; `None` if it can.
#[must_use]
pub fn out_of(client: &str, check: &str) -> Option<&'static str> {
    let cannot = match client {
        "curl" => CURL,
        "chrom" => CHROMIUM,
        _ => &[],
    };
    let found = cannot.iter().find(|(checks, _)| checks.contains(&check));
    found.map(|(_, why)| *why)
}

/// curl fetches once, and shows the bytes.
const CURL: &[(&[&str], &str)] = &[
    (
        &[
            "fixtures",
            "fixtures-in-pieces",
            "fixtures-in-chunks",
            "fixtures-in-chunks-in-pieces",
            "length",
            "retry",
            "retry-zero",
            "retry-huge",
            "quiet-end",
            "last-event-id",
            "id-utf-8",
            "id-reset",
            "id-unsendable",
            "no-content",
            "unfinished",
            "cut",
            "away",
        ],
        "it fetches once, and does not come back",
    ),
    (&["arrival"], "it shows the head with the first bytes of the body"),
    (&["type", "type-fields", "coding"], "it takes whatever comes"),
    (&["refusal"], "it was told to show no body of a refusal"),
    (&["endless-line"], "it knows of no lines"),
];

/// A page hears less than a program.
const CHROMIUM: &[(&[&str], &str)] = &[
    (
        &["no-content"],
        "a page is not told which status it was, so it cannot leave with 0",
    ),
    (&["refusal", "unfinished"], "a page is not told why an error came"),
];
