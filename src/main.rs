//! The table of contents: what `loa` can be asked to do. Everything is put together in [`loa::process`].

fn main() {}
