//! The events of an answer, in the words of each interface.

use event_stream::{Event, FieldError};
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderName},
};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// An interface, spoken of one answer.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    api: Api,
    model: String,
    /// Seconds since 1970.
    created: u64,
    /// The number of the next event.
    sequence: u64,
}

/// As in the example `ask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    ChatCompletions,
    Responses,
    Messages,
}

impl Api {
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Self::ChatCompletions),
            "/v1/responses" => Some(Self::Responses),
            "/v1/messages" => Some(Self::Messages),
            _ => None,
        }
    }

    /// Whether the request has a key, whatever that is.
    pub(crate) fn has_key(self, fields: &HeaderMap) -> bool {
        if self == Self::Messages && fields.contains_key(API_KEY) {
            return true;
        }
        // A scheme's name has no case (RFC 9110 §11.1).
        fields.get(AUTHORIZATION).is_some_and(|value| {
            value.as_bytes().split_at_checked(7).is_some_and(|(scheme, key)| {
                scheme.eq_ignore_ascii_case(b"bearer ") && !key.is_empty()
            })
        })
    }

    /// The body of a refusal.
    pub(crate) fn refusal(self, kind: &str, message: &str) -> Value {
        match self {
            Self::Messages => json!({
                "type": "error",
                "error": { "type": kind, "message": message },
            }),
            _ => json!({
                "error": {
                    "message": message,
                    "type": kind,
                    "param": null,
                    "code": null,
                },
            }),
        }
    }
}

impl Dialect {
    pub(crate) fn new(api: Api, model: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let created = now.unwrap_or_default().as_secs();
        Self { api, model: model.to_owned(), created, sequence: 0 }
    }

    /// What comes before the first word.
    pub(crate) fn start(&mut self) -> Result<Vec<Event<'static>>, FieldError> {
        match self.api {
            Api::ChatCompletions => {
                let delta = json!({ "role": "assistant", "content": "" });
                Ok(vec![self.chunk(&delta, None)])
            }
            Api::Responses => {
                let response = self.response("in_progress", &Value::Null);
                let data = json!({ "response": response });
                Ok(vec![self.named("response.created", data)?])
            }
            Api::Messages => Ok(vec![
                self.named(
                    "message_start",
                    json!({ "message": {
                        "id": "msg_1",
                        "type": "message",
                        "role": "assistant",
                        "model": self.model,
                        "content": [],
                        "stop_reason": null,
                    } }),
                )?,
                self.named(
                    "content_block_start",
                    json!({
                        "index": 0,
                        "content_block": { "type": "text", "text": "" },
                    }),
                )?,
            ]),
        }
    }

    /// A piece of the answer.
    pub(crate) fn text(
        &mut self,
        text: &str,
    ) -> Result<Event<'static>, FieldError> {
        match self.api {
            Api::ChatCompletions => {
                Ok(self.chunk(&json!({ "content": text }), None))
            }
            Api::Responses => self.named(
                "response.output_text.delta",
                json!({
                    "item_id": "msg_1",
                    "output_index": 0,
                    "content_index": 0,
                    "delta": text,
                }),
            ),
            Api::Messages => self.named(
                "content_block_delta",
                json!({
                    "index": 0,
                    "delta": { "type": "text_delta", "text": text },
                }),
            ),
        }
    }

    /// What says that nothing follows, and why: the model has done, or may
    /// say no more.
    pub(crate) fn stop(
        &mut self,
        has_done: bool,
    ) -> Result<Vec<Event<'static>>, FieldError> {
        match self.api {
            Api::ChatCompletions => {
                let reason = if has_done { "stop" } else { "length" };
                let last = self.chunk(&json!({}), Some(reason));
                Ok(vec![last, Event::new("[DONE]")])
            }
            Api::Responses => {
                let (status, details) = if has_done {
                    ("completed", Value::Null)
                } else {
                    ("incomplete", json!({ "reason": "max_output_tokens" }))
                };
                let response = self.response(status, &details);
                let kind = format!("response.{status}");
                Ok(vec![self.named(&kind, json!({ "response": response }))?])
            }
            Api::Messages => {
                let reason = if has_done { "end_turn" } else { "max_tokens" };
                let delta =
                    json!({ "stop_reason": reason, "stop_sequence": null });
                Ok(vec![
                    self.named("content_block_stop", json!({ "index": 0 }))?,
                    self.named("message_delta", json!({ "delta": delta }))?,
                    self.named("message_stop", json!({}))?,
                ])
            }
        }
    }

    /// What says that the model failed: after status 200.
    pub(crate) fn failure(
        &mut self,
        message: &str,
    ) -> Result<Event<'static>, FieldError> {
        match self.api {
            Api::ChatCompletions => {
                let error = self.api.refusal("server_error", message);
                Ok(Event::new(error.to_string()))
            }
            Api::Responses => self.named(
                "error",
                json!({ "code": "server_error", "message": message, "param": null }),
            ),
            Api::Messages => self.named(
                "error",
                json!({ "error": { "type": "overloaded_error", "message": message } }),
            ),
        }
    }

    fn chunk(
        &self,
        delta: &Value,
        finish_reason: Option<&str>,
    ) -> Event<'static> {
        let chunk = json!({
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "delta": delta,
                "finish_reason": finish_reason,
            }],
        });
        Event::new(chunk.to_string())
    }

    fn response(&self, status: &str, details: &Value) -> Value {
        json!({
            "id": "resp_1",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "error": null,
            "incomplete_details": details,
            "output": [],
        })
    }

    /// An event with a type, which stands in its data, too.
    fn named(
        &mut self,
        kind: &str,
        mut data: Value,
    ) -> Result<Event<'static>, FieldError> {
        data["type"] = kind.into();
        if self.api == Api::Responses {
            data["sequence_number"] = self.sequence.into();
            self.sequence += 1;
        }
        Event::new(data.to_string()).with_type(kind.to_owned())
    }
}
