//! What the promises need in order to be kept: servers, clocks, the means to hurt them.

pub mod app;
pub mod arrivals;
pub mod broker;
pub mod collector;
pub mod death;
pub mod fleet;
pub mod machine;
pub mod notice;
pub mod passkey;
pub mod pdf;
pub mod phones;
pub mod seed;
