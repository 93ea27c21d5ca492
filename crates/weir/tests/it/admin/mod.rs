//! The admin API through the binary.

mod api;
mod commands;
mod default_place;
mod endpoints;
mod metrics;
mod scrape;
mod secrets;
mod tenants;
