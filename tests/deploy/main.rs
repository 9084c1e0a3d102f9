//! Everything that is shipped for installing Foghorn is run here as it is shipped: proxies, images' entry points,
//! charts, units, packages, rules and dashboards. One module for each promise.
//!
//! Invariant: no module reads a file of its own making where the shipped one would do.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod compose;
mod containers;
mod haproxy;
mod haproxy_load;
mod haproxy_pages;
mod haproxy_rollout;
mod haproxy_site;
mod helm;
mod helm_dialects;
mod helm_page;
mod helm_refused;
mod helm_upgrade;
mod helm_values;
mod kube;
mod kube_cluster;
mod kube_kubelet;
mod kube_page;
mod linux;
mod monitoring;
mod proxies;
mod release;
mod seafile;
mod stubs;
mod support;
mod tools;
