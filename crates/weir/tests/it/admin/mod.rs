//! The admin API through the binary.

mod api;
mod tenants;
