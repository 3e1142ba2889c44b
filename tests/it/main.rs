//! The promises of the whole, kept on real servers.

mod api_journey;
mod broadcast_faults;
mod claims;
mod console_desk;
mod console_gallery;
mod console_pages;
mod demo_input;
mod devices_import;
mod layering;
mod public_gallery;
mod public_http;
mod public_record;
mod public_world;
mod push_apns;
mod push_fcm;
mod push_peer;
mod push_provider;
mod push_transport;
mod push_webpush;
mod queue_dead;
mod queue_delivery;
mod queue_outage;
mod queue_topology;
mod quota;
mod support;
