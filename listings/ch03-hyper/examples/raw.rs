//! Asks for a stream and prints the bytes that come, line by line.

use std::{env, error::Error};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or("127.0.0.1:9003".to_owned());
    let mut socket = TcpStream::connect(&addr).await?;
    let request = format!("GET /events HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut lines = BufReader::new(socket).split(b'\n');
    while let Some(line) = lines.next_segment().await? {
        println!("{}\\n", line.escape_ascii());
    }
    Ok(())
}
