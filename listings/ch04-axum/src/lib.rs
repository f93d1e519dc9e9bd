//! Chapter 4: Server-Sent Events over axum, typed, from one source.
