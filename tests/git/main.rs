//! The program as git and its friends call it: real git, real repositories, an embedded authority.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests stand in the world")]

mod advisories;
mod ambient;
mod chromium;
mod command;
mod configuration;
mod consent;
mod demonstration;
mod doctor;
mod gitsign;
mod init;
mod login;
mod merged_tags;
mod newest;
mod objects;
mod online;
mod push_certificates;
mod report;
mod repositories;
mod signing;
mod status;
mod walk;

#[path = "../support/forge.rs"]
mod forge;
#[path = "../support/standing.rs"]
mod standing;
#[path = "../support/mod.rs"]
mod support;
