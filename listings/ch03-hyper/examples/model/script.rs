//! What the model does: its answer, in tokens, and what goes wrong with it.

/// The answer to every question.
pub(crate) const ANSWER: &str = "An event is a few lines of text 📄 and a \
     blank line. The text is UTF-8: 你好，世界 is fifteen bytes, السلام is \
     twelve, and the astronaut 👩‍🚀 is one sign of three characters.\n";

/// The models that can be asked for, by what goes wrong with their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `ok`: nothing.
    None,
    /// `length`: the model may say no more.
    Length,
    /// `fails`: in the middle, and the server says so.
    Fails,
    /// `busy`: no answer at all, but status 429.
    Busy,
    /// `cut`: the connection breaks in the middle.
    Cut,
    /// `short`: the stream ends in the middle, in order.
    Short,
    /// `unfinished`: the last event lacks its blank line.
    Unfinished,
    /// `slow`: the model thinks before it says anything.
    Slow,
    /// `endless`: the answer again and again.
    Endless,
}

impl Fault {
    /// The names of the models.
    pub(crate) const ALL: [(&'static str, Self); 9] = [
        ("ok", Self::None),
        ("length", Self::Length),
        ("fails", Self::Fails),
        ("busy", Self::Busy),
        ("cut", Self::Cut),
        ("short", Self::Short),
        ("unfinished", Self::Unfinished),
        ("slow", Self::Slow),
        ("endless", Self::Endless),
    ];

    pub(crate) fn of(model: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == model);
        found.map(|(_, fault)| *fault)
    }

    /// Whether the answer breaks off half-way.
    fn is_half(self) -> bool {
        matches!(self, Self::Length | Self::Fails | Self::Cut | Self::Short)
    }
}

/// Numbers that are the same for the same seed: Marsaglia's xorshift64.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // From zero there is no way out.
        Self(seed.max(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// From 1 to `most`.
    pub(crate) fn up_to(&mut self, most: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // What is at most `most` fits, as it did.
        usize::try_from(self.0 % most + 1).unwrap_or(1)
    }
}

// ANCHOR: tokens
/// The answer as a model makes it: tokens of one to five bytes, which end
/// wherever they end. Half a character cannot stand in JSON, so what is
/// unfinished waits for the next token.
#[derive(Debug)]
pub(crate) struct Tokens {
    fault: Fault,
    random: Random,
    /// How much of the answer was made.
    at: usize,
    /// The bytes of a character that is not whole.
    held: Vec<u8>,
}

impl Iterator for Tokens {
    /// The text that a token completes; perhaps none.
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut answer = ANSWER.as_bytes();
        if self.fault.is_half() {
            answer = &answer[..answer.len() / 2];
        }
        if self.at == answer.len() && self.fault == Fault::Endless {
            self.at = 0;
        }
        let rest = &answer[self.at..];
        if rest.is_empty() {
            return None;
        }
        let token = &rest[..rest.len().min(self.random.up_to(5))];
        self.at += token.len();
        self.held.extend_from_slice(token);
        let whole = match str::from_utf8(&self.held) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let rest = self.held.split_off(whole);
        let text = String::from_utf8_lossy(&self.held).into_owned();
        self.held = rest;
        Some(text)
    }
}
// ANCHOR_END: tokens

impl Tokens {
    pub(crate) fn new(fault: Fault, random: Random) -> Self {
        Self { fault, random, at: 0, held: Vec::new() }
    }
}
