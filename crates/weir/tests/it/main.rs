//! Black-box tests: the real binary, real sockets on loopback. One test binary, so that everything it needs is
//! linked once.
#![cfg(test)]

mod access_log;
mod admin;
mod affinity;
mod algorithms;
mod balancing;
mod breakers;
mod chaos;
mod check;
mod cli;
mod demo;
mod docs;
mod echo;
mod ejections;
mod explain;
mod failover;
mod failover_page;
mod filters;
mod harness;
mod health;
mod health_page;
mod hostile;
mod load_balancing;
mod matches;
mod memory;
mod names;
mod names_page;
mod overrides;
mod proxy;
mod references;
mod reload;
mod responses;
mod retries;
mod sessions;
mod signals;
mod tenants;
mod traffic;
mod upstream_fields;
mod weights;
