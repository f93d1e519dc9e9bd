//! How the prose sounds. Some words say nothing, or praise.

use std::path::Path;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::support::workspace;
use crate::{Problem, found, none, pages_and_readme, planted};

const BANNED: &[&str] = &[
    "just",
    "simply",
    "easily",
    "obviously",
    "powerful",
    "robust",
    "seamless",
    "seamlessly",
    "of course",
    "in this chapter we will",
];

fn check(root: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for page in pages_and_readme(root) {
        let options = Options::ENABLE_TABLES | Options::ENABLE_GFM;
        let parser = Parser::new_ext(&page.text, options);
        let mut code = false;
        for (event, range) in parser.into_offset_iter() {
            let text = match event {
                Event::Start(Tag::CodeBlock(_)) => {
                    code = true;
                    continue;
                }
                Event::End(TagEnd::CodeBlock) => {
                    code = false;
                    continue;
                }
                Event::Text(text) if !code => text,
                Event::Html(text) | Event::InlineHtml(text) => {
                    without_tags(&text).into()
                }
                _ => continue,
            };
            let line = page.line_of(&range);
            if text.contains('!') {
                problems.push(page.problem(line, "an exclamation mark"));
            }
            let words = text.to_lowercase();
            let words = words.split(|c: char| !c.is_alphanumeric());
            let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
            let words = format!(" {} ", words.join(" "));
            for banned in BANNED {
                if words.contains(&format!(" {banned} ")) {
                    let text = format!("the word “{banned}”");
                    problems.push(page.problem(line, text));
                }
            }
        }
    }
    problems
}

/// The text of HTML, without tags, comments and code.
fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let end = match tag {
            _ if tag.starts_with("!--") => "-->",
            _ if tag.starts_with("code") => "</code>",
            _ => ">",
        };
        rest = tag.split_once(end).map_or("", |(_, rest)| rest);
    }
    text + rest
}

#[test]
fn the_book_does_not_boast() {
    none(&check(&workspace()));
}

#[test]
fn faulty_prose_is_found() {
    let folder = planted(&[
        ("README.md", "A robust thing.\n"),
        (
            "src/page.md",
            "Adjust `just!` this.\n\n```text\nsimply!\n```\n\n\
             It is Simply so.\n\n> [!NOTE]\n> Look!\n\n\
             <!-- just! -->\n\n\
             <figcaption>Of course <code>just!</code></figcaption>\n",
        ),
    ]);
    found(
        &check(folder.path()),
        &[
            "src/page.md:7: the word “simply”",
            "src/page.md:10: an exclamation mark",
            "src/page.md:14: the word “of course”",
            "README.md:1: the word “robust”",
        ],
    );
}
