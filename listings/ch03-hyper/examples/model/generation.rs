//! One answer, for as long as somebody reads it.

use crate::{
    BoxError, Cli,
    dialect::Dialect,
    script::{Fault, Random, Tokens},
};
use bytes::{Bytes, BytesMut};
use ch03_hyper::connections::{Log, Peer};
use event_stream::Event;
use futures::{Stream, TryStreamExt, stream};
use hyper::body::Frame;
use tokio::time::sleep;

/// The longest piece that the body is cut into, in bytes.
const PIECE: u64 = 8;

// ANCHOR: generation
/// What a model does for one question.
pub(crate) struct Generation {
    options: Cli,
    fault: Fault,
    dialect: Dialect,
    tokens: Tokens,
    stage: Stage,
    /// How many tokens were made.
    made: u64,
    /// Bytes of events that are due. They are cut anywhere.
    due: BytesMut,
    cuts: Random,
    peer: Peer,
    log: Log,
}

#[derive(Clone, Copy)]
enum Stage {
    Start,
    Words,
    End,
}

impl Drop for Generation {
    /// It is over, or nobody reads it any more.
    fn drop(&mut self) {
        let Self { peer, made, .. } = self;
        let what = match self.stage {
            Stage::End => "Done with",
            Stage::Start | Stage::Words => "Stopped for",
        };
        (self.log)(format_args!("{what} {peer} after {made} tokens"));
    }
}

impl Generation {
    /// The body. Each piece is made when it is asked for: for a reader that
    /// leaves no more tokens are made.
    pub(crate) fn into_stream(
        self,
    ) -> impl Stream<Item = Result<Frame<Bytes>, BoxError>> {
        stream::try_unfold(self, async |mut generation| {
            let piece = generation.piece().await?;
            Ok(piece.map(|piece| (piece, generation)))
        })
        .map_ok(Frame::data)
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, BoxError> {
        while self.due.is_empty() {
            match self.stage {
                Stage::Start => {
                    let events = self.dialect.start()?;
                    self.send(&events);
                    self.stage = Stage::Words;
                }
                Stage::Words => self.word().await?,
                Stage::End => return Ok(None),
            }
        }
        let piece = self.cuts.up_to(PIECE).min(self.due.len());
        Ok(Some(self.due.split_to(piece).freeze()))
    }

    /// The next token, or the end.
    async fn word(&mut self) -> Result<(), BoxError> {
        let thinks = self.fault == Fault::Slow && self.made == 0;
        let Cli { every, think, .. } = self.options;
        sleep(if thinks { think } else { every }).await;
        let Some(text) = self.tokens.next() else {
            self.stage = Stage::End;
            return self.end();
        };
        self.made += 1;
        if !text.is_empty() {
            let event = self.dialect.text(&text)?;
            self.send(&[event]);
        }
        Ok(())
    }
    // ANCHOR_END: generation

    fn end(&mut self) -> Result<(), BoxError> {
        match self.fault {
            Fault::Length => {
                let events = self.dialect.stop(false)?;
                self.send(&events);
            }
            Fault::Fails => {
                let event = self.dialect.failure("the model fell over")?;
                self.send(&[event]);
            }
            // hyper closes without the last chunk.
            Fault::Cut => return Err("broken off, as asked".into()),
            // hyper sends the last chunk: to HTTP nothing is wrong.
            Fault::Short => {}
            Fault::Unfinished => {
                let mut events = self.dialect.stop(true)?;
                events.retain(|event| event.data() != "[DONE]");
                self.send(&events);
                // The end of the last line, and the blank one.
                self.due.truncate(self.due.len().saturating_sub(2));
            }
            _ => {
                let events = self.dialect.stop(true)?;
                self.send(&events);
            }
        }
        Ok(())
    }

    fn send(&mut self, events: &[Event]) {
        let mut bytes = Vec::new();
        for event in events {
            event.encode(&mut bytes);
        }
        self.due.extend_from_slice(&bytes);
    }

    pub(crate) fn new(
        options: Cli,
        fault: Fault,
        dialect: Dialect,
        peer: Peer,
        log: Log,
    ) -> Self {
        Self {
            options,
            fault,
            dialect,
            tokens: Tokens::new(fault, Random::new(options.seed)),
            stage: Stage::Start,
            made: 0,
            due: BytesMut::new(),
            cuts: Random::new(options.seed),
            peer,
            log,
        }
    }
}
