//! The integration tests: one binary, one file per behaviour.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test that fails says where by panicking"
)]

mod alert_api;
mod alert_change;
mod alert_citizen;
mod alert_cli;
mod alert_control;
mod alert_crash;
mod alert_expiry;
mod alert_kit;
mod alert_lane;
mod alert_outage;
mod alert_reach;
mod alert_stop;
mod alert_town;
mod citizen_contract;
mod citizen_data;
mod cli;
mod cluster_kills;
mod cluster_kit;
mod cluster_rolling;
mod cluster_scaling;
mod cluster_status;
mod cluster_zombies;
mod config;
mod crash;
mod dashboard;
mod demo;
mod engine;
mod faults;
mod http_citizen;
mod http_citizen_catalogue;
mod http_citizen_command;
mod http_citizen_data;
mod http_citizen_kit;
mod http_citizen_link;
mod http_citizen_live;
mod http_citizen_profile;
mod http_citizen_token;
mod http_edge;
mod http_kit;
mod http_openapi;
mod http_operator;
mod http_sender;
mod live_crowd;
mod mail_citizen;
mod mail_kit;
mod mail_post;
mod mail_postfix;
mod migrate;
mod page;
mod postfix;
mod provider_apns;
mod provider_fcm;
mod provider_smtp;
mod provider_smtp_secure;
mod provider_support;
mod rate;
mod redis_config;
mod redis_cost;
mod redis_kit;
mod redis_outage;
mod redis_safety;
mod redis_store;
mod routing_table;
mod sender_contract;
mod serve;
mod smtp_relay;
mod stage_kit;
mod store_alert;
mod store_citizen;
mod store_contract;
mod store_damage;
mod store_erase;
mod store_fixture;
mod store_inbox;
mod store_oracle;
