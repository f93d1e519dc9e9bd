//! Chapter 2: Server-Sent Events over a blocking framework.
