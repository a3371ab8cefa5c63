//! Passive data of the engine: no behaviour beyond validation and conversion.
//!
//! Every type here is what the store keeps and what the actors pass around;
//! wire formats (IO's JSON, the providers' JSON) live at the edge.

pub mod alert;
pub mod answer;
pub mod area;
pub mod books;
pub mod citizen;
pub mod data_request;
pub mod delivery;
pub mod effect;
pub mod email;
pub mod fiscal_code;
pub mod id;
pub mod inbox;
pub mod lane;
pub mod ledger;
pub mod message;
pub mod node;
pub mod notice;
pub mod notification;
pub mod outcome;
pub mod preference;
pub mod push;
pub mod route;
pub mod service;
pub mod time;
