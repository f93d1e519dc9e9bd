//! The table of rules as a page shows it: with names in full, and a class for
//! each verdict. Made of the text that was printed, so that it says the same.

use std::fmt::Write;

/// A verdict as the text has it, the word for it, and its class.
const VERDICTS: [(&str, &str, &str); 6] = [
    ("yes", "yes", "kept"),
    ("app", "app", "elsewhere"),
    ("NO", "no", "broken"),
    ("err", "error", "broken"),
    ("PAN", "panic", "broken"),
    ("-", "–", "unseen"),
];

/// Where the columns of verdicts begin.
const NAMES: usize = 36;

/// The table, for a page to include. `None` if `text` is not what `rules`
/// prints.
#[must_use]
pub fn rules(text: &str) -> Option<String> {
    let (above, below) = text.split_once("\nrule, and its section")?;
    let (head, rows) = below.split_once('\n')?;
    let names: Vec<_> = head
        .split_whitespace()
        .skip_while(|word| *word != "9.2")
        .skip(1)
        .map(|key| full_name(above, key))
        .collect::<Option<_>>()?;
    let mut body = String::new();
    let mut sum = None;
    for line in rows.lines() {
        let (rule, verdicts) = line.split_at_checked(NAMES)?;
        let verdicts: Vec<_> = verdicts.split_whitespace().collect();
        if verdicts.len() != names.len() {
            return None;
        }
        if rule.starts_with("rules broken") {
            sum = Some(cells(&verdicts, |count| {
                let class = if count == "0" { "kept" } else { "broken" };
                Some((count, class))
            })?);
            continue;
        }
        // The number, its section, and the rule.
        let (number, rest) = rule.trim_start().split_once(' ')?;
        let (section, rule) = rest.split_once(' ')?;
        let cells = cells(&verdicts, |verdict| {
            let known = VERDICTS.iter().find(|(text, ..)| *text == verdict);
            known.map(|(_, word, class)| (*word, *class))
        })?;
        // A `String` takes whatever is written to it.
        let _ = writeln!(
            body,
            "<tr><th scope=\"row\">{number}. {} <small>§9.2.{section}</small>\
             </th>{cells}</tr>",
            rule.trim()
        );
    }
    let heads = names
        .iter()
        .map(|name| format!("<th scope=\"col\"><span>{name}</span></th>"));
    Some(format!(
        "<div class=\"table-wrapper\"><table class=\"verdicts\">\n\
         <thead><tr><th scope=\"col\">Rule</th>{}</tr></thead>\n\
         <tbody>\n<tr class=\"sum\"><th scope=\"row\">rules broken</th>{}</tr>\n\
         {body}</tbody>\n</table></div>\n",
        heads.collect::<String>(),
        sum?
    ))
}

/// The name and the version behind a key, in the lines above the table.
fn full_name(above: &str, key: &str) -> Option<String> {
    let line = above.lines().find(|line| {
        let rest = line.strip_prefix(key);
        rest.is_some_and(|rest| rest.starts_with("  ") || rest.starts_with(' '))
    })?;
    let name = line[key.len()..].trim_start();
    let name = name.split("  ").next()?;
    Some(match key {
        "own" => format!("this book: {name}"),
        _ => name.to_owned(),
    })
}

fn cells<'a>(
    verdicts: &[&'a str],
    shown: impl Fn(&'a str) -> Option<(&'a str, &'a str)>,
) -> Option<String> {
    let cells = verdicts.iter().map(|verdict| {
        let (word, class) = shown(verdict)?;
        Some(format!("<td class=\"{class}\">{word}</td>"))
    });
    cells.collect()
}
