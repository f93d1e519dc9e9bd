//! Measures the servers and the clients of this book, side by side.

fn main() {}
