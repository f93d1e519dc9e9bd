//! How long a client stays away. Only lower bounds are relied upon: a clock
//! that starts before the client's own can measure a wait too long, on a busy
//! machine, and never too short.

use super::{LEAST, STREAM, Stage, WATCHED, system};
use crate::http::Connection;
use crate::report::{Verdict, kept};
use crate::{Failure, Outcome, Program};
use std::thread;
use std::time::{Duration, Instant};

impl Stage {
    /// Ends a stream with this body, and waits for the client's next request.
    /// How long it was away.
    fn away(
        &mut self,
        connection: &mut Option<Connection>,
        body: &str,
    ) -> Result<Duration, Failure> {
        let mut ends = match connection.take() {
            Some(connection) => connection,
            None => self.accept()?.0,
        };
        ends.send(format!("{STREAM}{body}"))?;
        // Not after the end: the client may wait from there already.
        let ended = Instant::now();
        drop(ends);
        *connection = Some(self.accept()?.0);
        Ok(ended.elapsed())
    }
}

// ANCHOR: retry
/// The time from the end of a stream to the next request, as the server sees
/// it, is never shorter than `retry`. A client that ignores it waits equally
/// long each time; a busy machine does so only now and then, so it has three
/// tries to come back sooner when asked to. How soon is the client's to
/// bound.
pub(super) fn retry(program: &Program) -> Verdict {
    let mut stage = Stage::new(program, None)?;
    let mut connection = None;
    let long = Duration::from_secs(2);
    let mut waited = Vec::new();
    for _ in 0..3 {
        let waited_long =
            stage.away(&mut connection, "retry: 2000\ndata: a\n\n")?;
        let waited_short =
            stage.away(&mut connection, "retry: 1\ndata: b\n\n")?;
        // ANCHOR_END: retry
        waited.push((waited_long, waited_short));
        if waited_long + Duration::from_millis(20) < long {
            break;
        }
        if waited_short < waited_long / 2 {
            return Ok(Outcome::passed());
        }
    }
    Err(Failure::new(format!(
        "with `retry: 2000` and then `retry: 1` it waited {waited:.0?}"
    )))
}

/// Streams of one event: each makes the next connection the first of a good
/// series, so that no backing off slows them.
pub(super) fn retry_zero(program: &Program) -> Verdict {
    const TIMES: u32 = 4;
    let mut stage = Stage::new(program, None)?;
    let mut connection = None;
    let mut away = Duration::ZERO;
    for _ in 0..TIMES {
        away += stage.away(&mut connection, "retry: 0\nid: 1\ndata: a\n\n")?;
    }
    kept(away >= LEAST * TIMES, || {
        Failure::new(format!(
            "with `retry: 0` it connected {TIMES} more times in {away:.0?}"
        ))
    })
}

/// 35 days, and more than 64 bits hold. A timer that counts milliseconds in
/// 31 bits goes off at once, and not only once.
pub(super) fn retry_huge(program: &Program) -> Verdict {
    for time in ["3000000000", "99999999999999999999"] {
        let mut stage = Stage::new(program, None)?;
        stage.stream(&format!("retry: {time}\ndata: a\n\n"))?;
        stage.expect(&["a"])?;
        if stage.error()? {
            return Err(Failure::new(format!("it gave up at `retry: {time}`")));
        }
        let until = Instant::now() + WATCHED;
        while Instant::now() < until {
            if stage.asked_again() {
                let why = format!("it came back at once, at `retry: {time}`");
                return Err(Failure::new(why));
            }
            let left = stage.client.exit(Instant::now()).map_err(system)?;
            if let Some(status) = left {
                return Err(Failure::new(format!(
                    "it left ({status}) at `retry: {time}`; stderr: {}",
                    stage.client.errors()
                )));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(Outcome::passed())
}

// ANCHOR: quiet_end
/// Streams that end as they should, after a comment each. Who counts that as a
/// failure stays away longer each time; a busy machine is late now and then.
/// So one wait of the later four that is like the first will do.
pub(super) fn quiet_end(program: &Program) -> Verdict {
    let mut stage = Stage::new(program, None)?;
    let mut connection = None;
    let body = "retry: 600\n: quiet\n\n";
    let first = stage.away(&mut connection, body)?;
    let mut waited = vec![first];
    for count in 1..8 {
        let away = stage.away(&mut connection, body).map_err(|failure| {
            let why = failure.why;
            Failure::new(format!("after waits of {waited:.1?}: {why}"))
        })?;
        waited.push(away);
        if count >= 4 && away <= first * 2 {
            return Ok(Outcome::passed());
        }
    }
    Err(Failure::new(format!("it waited {waited:.1?}")))
}
// ANCHOR_END: quiet_end
