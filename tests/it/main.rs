//! The promises of the whole, kept on real servers.

mod demo_input;
mod push_fcm;
mod push_peer;
mod push_provider;
mod push_transport;

mod devices_import;
