//! One connection, read with ureq: its body is `Read`, as reqwest's is.

use event_stream::{Decoder, Item, MIME_TYPE};
use std::{env, error::Error, io::Read};

// ANCHOR: ureq
fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("usage: ureq URL")?;
    let mut response = ureq::get(&url).header("accept", MIME_TYPE).call()?;
    let mut body = response.body_mut().as_reader();
    let (mut decoder, mut buffer) = (Decoder::new(), [0; 16 * 1024]);
    loop {
        let length = body.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let mut bytes = &buffer[..length];
        while let Some(item) = decoder.next(&mut bytes)? {
            if let Item::Event(event) = item {
                println!("{}: {}", event.last_event_id, event.data);
            }
        }
    }
}
// ANCHOR_END: ureq
