//! The promises of the whole, kept on real servers.

mod demo_input;
