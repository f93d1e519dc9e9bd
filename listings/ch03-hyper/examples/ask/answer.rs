//! The answer of a language model, piece by piece, and whether it is whole.

use event_client::{GivenUp, Notice, Notices, Options, RequestBuilderExt};
use event_stream::{Item, MessageEvent};
use futures::TryStreamExt;
use reqwest::{
    Client, RequestBuilder, Url,
    header::{CONTENT_TYPE, HeaderValue, InvalidHeaderValue},
};
use serde_json::{Value, json};
use std::{error::Error, fmt};

/// The most tokens of an answer, where the interface demands a bound.
const MAX_TOKENS: u32 = 4096;

/// How a server of a language model is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// `OpenAI`'s Chat Completions, which many others speak, too.
    ChatCompletions,
    /// `OpenAI`'s Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
}

impl Api {
    /// What is spoken at this URL, by the end of its path.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let path = url.path().trim_end_matches('/');
        [
            ("/chat/completions", Self::ChatCompletions),
            ("/responses", Self::Responses),
            ("/messages", Self::Messages),
        ]
        .into_iter()
        .find_map(|(end, api)| path.ends_with(end).then_some(api))
    }

    /// The request for an answer, as a stream.
    ///
    /// # Errors
    /// If the key cannot stand in a header field.
    pub(crate) fn request(
        self,
        http: &Client,
        url: Url,
        key: Option<&str>,
        model: &str,
        question: &str,
    ) -> Result<RequestBuilder, InvalidHeaderValue> {
        let messages = json!([{ "role": "user", "content": question }]);
        let mut body = json!({ "model": model, "stream": true });
        match self {
            Self::ChatCompletions => body["messages"] = messages,
            Self::Responses => body["input"] = question.into(),
            Self::Messages => {
                body["messages"] = messages;
                body["max_tokens"] = MAX_TOKENS.into();
            }
        }
        let mut request = http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        if self == Self::Messages {
            request = request.header("anthropic-version", "2023-06-01");
        }
        let Some(key) = key else { return Ok(request) };
        let (name, value) = match self {
            Self::Messages => ("x-api-key", key.to_owned()),
            _ => ("authorization", format!("Bearer {key}")),
        };
        let mut value = HeaderValue::try_from(value)?;
        // Whoever prints the request leaves it out.
        value.set_sensitive(true);
        Ok(request.header(name, value))
    }
}

// ANCHOR: answer
/// An answer that is being read. To stop the model, drop this.
pub(crate) struct Answer {
    api: Api,
    notices: Notices,
    is_complete: bool,
    stop_reason: Option<String>,
}

impl Answer {
    /// Asks, once the answer is read from. `options` should keep what is
    /// unfinished: see [`Options::keeps_unfinished`].
    ///
    /// # Errors
    /// If the request cannot be sent.
    pub(crate) fn new(
        api: Api,
        request: RequestBuilder,
        options: Options,
    ) -> Result<Self, NoAnswer> {
        let notices = request.notices_with(options)?;
        Ok(Self { api, notices, is_complete: false, stop_reason: None })
    }

    /// The next piece of text; `None` behind the last of a complete answer.
    ///
    /// # Errors
    /// If the model failed, or the stream ended before the answer did.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, NoAnswer> {
        while !self.is_complete {
            let event = match self.notices.try_next().await? {
                Some(Notice::Item(Item::Event(event))) => event,
                Some(Notice::Ended { .. }) | None => return self.ended(),
                Some(_) => continue,
            };
            let said = Said::by(self.api, &event)?;
            self.is_complete = said.is_last;
            self.stop_reason = said.stop_reason.or(self.stop_reason.take());
            if let Some(text) = said.text.filter(|text| !text.is_empty()) {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// Some servers of Chat Completions leave `[DONE]` out. One that said why
    /// the model stopped, and then ended in order, has said all.
    fn ended(&self) -> Result<Option<String>, NoAnswer> {
        let has_stopped = self.stop_reason.is_some();
        if self.api == Api::ChatCompletions && has_stopped {
            Ok(None)
        } else {
            Err(NoAnswer::Incomplete)
        }
    }

    /// Why the model stopped, in the server's word, once it has told: `stop`,
    /// for one, or that the tokens it may spend are spent.
    pub(crate) fn stop_reason(&self) -> Option<&str> {
        self.stop_reason.as_deref()
    }
}
// ANCHOR_END: answer

// ANCHOR: said
/// What an event says of the answer.
#[derive(Default)]
struct Said {
    text: Option<String>,
    stop_reason: Option<String>,
    is_last: bool,
}

impl Said {
    fn by(api: Api, event: &MessageEvent) -> Result<Self, NoAnswer> {
        if event.data == "[DONE]" {
            let is_last = api == Api::ChatCompletions;
            return Ok(Self { is_last, ..Self::default() });
        }
        let data: Value =
            serde_json::from_str(&event.data).map_err(NoAnswer::Unreadable)?;
        // The data names the type again, and some gateways drop the field.
        let kind = data["type"].as_str().unwrap_or(&event.event_type);
        let is_error = kind == "error" || data["object"] == "error";
        if is_error || !data["error"].is_null() {
            return Err(NoAnswer::failed(&data));
        }
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let mut said = Self::default();
        match (api, kind) {
            (Api::ChatCompletions, _) => {
                let choice = &data["choices"][0];
                said.text = text(&choice["delta"]["content"]);
                said.stop_reason = text(&choice["finish_reason"]);
                if said.stop_reason.as_deref() == Some("error") {
                    return Err(NoAnswer::failed(choice));
                }
            }
            (Api::Responses, "response.output_text.delta") => {
                said.text = text(&data["delta"]);
            }
            (Api::Responses, "response.failed") => {
                return Err(NoAnswer::failed(&data["response"]));
            }
            (Api::Responses, "response.completed" | "response.incomplete") => {
                let response = &data["response"];
                let details = &response["incomplete_details"];
                said.stop_reason = text(&details["reason"])
                    .or_else(|| text(&response["status"]));
                said.is_last = true;
            }
            (Api::Messages, "content_block_delta") => {
                said.text = text(&data["delta"]["text"]);
            }
            (Api::Messages, "message_delta") => {
                said.stop_reason = text(&data["delta"]["stop_reason"]);
            }
            (Api::Messages, "message_stop") => said.is_last = true,
            // A ping, a start, and what there will be one day.
            _ => {}
        }
        Ok(said)
    }
}
// ANCHOR_END: said

/// Why there is no answer, or no whole one.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// It was refused, or lost on the way.
    Lost(GivenUp),
    /// The model failed, and the server says why.
    Failed(String),
    /// An event that is not JSON.
    Unreadable(serde_json::Error),
    /// The stream ended in order, and nothing said that the answer had.
    Incomplete,
}

impl NoAnswer {
    /// The message of an error: in an object of its own, or beside its type.
    fn failed(data: &Value) -> Self {
        let told = [&data["error"]["message"], &data["message"]];
        let message = told.into_iter().find_map(Value::as_str);
        Self::Failed(message.map_or_else(|| data.to_string(), str::to_owned))
    }
}

impl From<GivenUp> for NoAnswer {
    fn from(error: GivenUp) -> Self {
        Self::Lost(error)
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(error) => write!(f, "{error}"),
            Self::Failed(message) => write!(f, "the model failed: {message}"),
            Self::Unreadable(error) => {
                write!(f, "an event is not JSON: {error}")
            }
            Self::Incomplete => {
                write!(f, "the stream ended before the answer did")
            }
        }
    }
}

impl Error for NoAnswer {}
