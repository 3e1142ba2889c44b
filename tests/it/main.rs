//! The promises of the whole, kept on real servers.

mod support;

mod demo_input;

mod push_fcm;
mod push_peer;
mod push_provider;
mod push_transport;

mod queue_dead;
mod queue_delivery;
mod queue_outage;
mod queue_topology;

mod devices_import;
