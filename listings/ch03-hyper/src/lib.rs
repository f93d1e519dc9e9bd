//! Chapter 3: Server-Sent Events over hyper, the async toolkit.
