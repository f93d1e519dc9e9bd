//! What is on the stream: the events' types and payloads, one enum for both
//! sides.

use event_log::{Gap, hub::Ended};
use event_stream::{Event, FieldError, MessageEvent};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::{error::Error, fmt};

// ANCHOR: feed
/// An event of this chapter's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Type `message`: the data is the text itself.
    Greeting(String),
    /// Type `posted`: somebody said something. The data is JSON.
    Posted(Post),
    /// Type `missed`: events were lost on the way to this reader. The data is
    /// JSON.
    Missed(Missed),
}

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "routes", derive(utoipa::ToSchema))]
pub struct Post {
    /// Who says it, in one line.
    #[cfg_attr(
        feature = "routes",
        schema(
            min_length = 1,
            max_length = 40,
            pattern = r"\S",
            example = "Ada"
        )
    )]
    pub author: String,
    /// What is said; LF begins a new line.
    #[cfg_attr(
        feature = "routes",
        schema(
            min_length = 1,
            max_length = 500,
            pattern = r"\S",
            example = "Hi!"
        )
    )]
    pub text: String,
}

impl Post {
    /// The most characters of an author's name.
    pub const MAX_AUTHOR: usize = 40;
    /// The most characters of a text.
    pub const MAX_TEXT: usize = 500;

    /// Takes a post from outside. It has to be an object: left to itself,
    /// serde would take the array `["Ada","Hi"]` for a post as well.
    ///
    /// # Errors
    /// If it is no post, or breaks a rule of one.
    pub fn parse(object: Map<String, Value>) -> Result<Self, Fault> {
        let post: Self = serde_json::from_value(Value::Object(object))
            .map_err(|error| Fault::Shape(error.to_string()))?;
        for (field, value, max) in [
            ("author", &post.author, Self::MAX_AUTHOR),
            ("text", &post.text, Self::MAX_TEXT),
        ] {
            if value.trim().is_empty() {
                return Err(Fault::Blank { field });
            }
            // As JSON Schema counts, not bytes.
            let count = value.chars().count();
            if count > max {
                return Err(Fault::Length { field, max, count });
            }
            let is_bad = |c| is_control(c) && !(c == '\n' && field == "text");
            if let Some(character) = value.chars().find(|c| is_bad(*c)) {
                return Err(Fault::Control { field, character });
            }
        }
        Ok(post)
    }
}

/// What drives a terminal, or turns the direction of what is written next.
fn is_control(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

/// Events that the server no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "routes", derive(utoipa::ToSchema))]
pub struct Missed {
    /// How many; `null` if that is not known, since the reader's last event
    /// ID is from before a restart, or from elsewhere.
    #[cfg_attr(feature = "routes", schema(required = true))]
    pub events: Option<u64>,
}

impl From<Gap> for Missed {
    fn from(gap: Gap) -> Self {
        let events = match gap {
            Gap::Missed(events) => Some(events),
            _ => None,
        };
        Self { events }
    }
}
// ANCHOR_END: feed

// ANCHOR: convert
impl<'a> TryFrom<&'a Feed> for Event<'a> {
    type Error = FeedError;

    fn try_from(feed: &'a Feed) -> Result<Self, FeedError> {
        Ok(match feed {
            Feed::Greeting(text) => Self::new(text),
            Feed::Posted(post) => json(Feed::POSTED, post)?,
            Feed::Missed(missed) => json(Feed::MISSED, missed)?,
        })
    }
}

impl TryFrom<&MessageEvent> for Feed {
    type Error = FeedError;

    fn try_from(event: &MessageEvent) -> Result<Self, FeedError> {
        match &*event.event_type {
            Self::GREETING => Ok(Self::Greeting(event.data.clone())),
            Self::POSTED => parse(Self::POSTED, event).map(Self::Posted),
            Self::MISSED => parse(Self::MISSED, event).map(Self::Missed),
            unknown => Err(FeedError::Unknown(unknown.to_owned())),
        }
    }
}

impl Feed {
    pub(crate) const GREETING: &str = "message";
    pub(crate) const POSTED: &str = "posted";
    pub(crate) const MISSED: &str = "missed";
}

/// Why an event is none of these, or cannot be made one.
#[derive(Debug)]
pub enum FeedError {
    /// No type that this program knows. A newer server may send it: pass the
    /// event over and read on.
    Unknown(String),
    /// The data is not what an event of this type carries.
    Data(&'static str, serde_json::Error),
    /// A field that cannot be written.
    Field(FieldError),
    /// The stream has ended, and takes no more events.
    Ended,
}
// ANCHOR_END: convert

impl From<Ended> for FeedError {
    fn from(Ended: Ended) -> Self {
        Self::Ended
    }
}

/// What is wrong with a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has not the fields of one; what serde says.
    Shape(String),
    /// There is nothing in it but white space.
    Blank {
        /// In which field.
        field: &'static str,
    },
    /// Too many characters.
    Length {
        /// In which field.
        field: &'static str,
        /// The most that it may have.
        max: usize,
        /// How many there are.
        count: usize,
    },
    /// A control character that does not belong there.
    Control {
        /// In which field.
        field: &'static str,
        /// The character.
        character: char,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(error) => write!(f, "{error}"),
            Self::Blank { field } => write!(f, "{field}: nothing is in it"),
            Self::Length { field, max, count } => {
                write!(f, "{field}: at most {max} characters, not {count}")
            }
            Self::Control { field, character } => {
                write!(f, "{field}: the character {character:?} is not allowed")
            }
        }
    }
}

impl Error for Fault {}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.events {
            Some(1) => write!(f, "1 event"),
            Some(events) => write!(f, "{events} events"),
            None => write!(f, "nobody knows how many events"),
        }
    }
}

fn json(
    event_type: &'static str,
    data: &impl Serialize,
) -> Result<Event<'static>, FeedError> {
    Event::from_json(data)
        .map_err(|error| FeedError::Data(event_type, error))?
        .with_type(event_type)
        .map_err(FeedError::Field)
}

fn parse<T: DeserializeOwned>(
    event_type: &'static str,
    event: &MessageEvent,
) -> Result<T, FeedError> {
    event.json().map_err(|error| FeedError::Data(event_type, error))
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(event_type) => {
                write!(f, "no event type {event_type:?} is known here")
            }
            Self::Data(event_type, error) => {
                write!(f, "an event of type {event_type:?}: {error}")
            }
            Self::Ended => write!(f, "the stream has ended"),
            Self::Field(error) => write!(f, "{error}"),
        }
    }
}

impl Error for FeedError {}
