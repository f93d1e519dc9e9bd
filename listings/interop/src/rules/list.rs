//! What the standard asks of a reader, a row a rule.

/// What a reader may leave to its caller: all that a blank line means
/// (§9.2.6, "dispatch the event").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// That an event without a type is a `message`.
    Type,
    /// That an ID stays until another comes.
    Id,
    /// That a block without data is no event.
    Data,
}

/// A rule, and the fixtures that show it.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) section: &'static str,
    pub(super) text: &'static str,
    pub(super) left: Option<Left>,
    pub(super) fixtures: Vec<&'static str>,
}

/// Reads the list: a line with the section and the text, and indented lines
/// with the names of fixtures below it.
pub(super) fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for line in include_str!("rules.txt").lines() {
        if let Some(names) = line.strip_prefix("   ") {
            if let Some(rule) = rules.last_mut() {
                rule.fixtures.extend(names.split_whitespace());
            }
            continue;
        }
        let mut parts = line.split("  ");
        let mut next = || parts.next().unwrap_or_default();
        let (section, text) = (next(), next());
        let left = match next() {
            "(left: type)" => Some(Left::Type),
            "(left: id)" => Some(Left::Id),
            "(left: data)" => Some(Left::Data),
            _ => None,
        };
        rules.push(Rule { section, text, left, fixtures: Vec::new() });
    }
    rules
}
