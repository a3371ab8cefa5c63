//! From configuration to the engine's options.

use std::time::Duration;

use araldo_actors::erasure::ErasureKey;
use araldo_actors::live::LiveLimits;
use araldo_actors::pipeline::{EngineOptions, PartitionLimits};
use araldo_actors::policy::admission::AdmissionLimits;
use araldo_actors::policy::restart::Intensity;

use crate::config::Config;
use crate::secret::Secret;

/// Restarts taken for bad luck: a fault that comes back at once ends the
/// process within seconds.
const INTENSITY: Intensity = Intensity { restarts: 10, within: Duration::from_secs(10) };

/// What the key that names erased citizens is derived for. Never changed: the
/// records kept so far would prove nothing any more.
const ERASURES: &str = "araldo 2026-11 erasure records: subject";

/// The engine's options.
pub(super) fn engine(config: &Config, secret: &Secret) -> EngineOptions {
    EngineOptions {
        partitions: config.engine.partitions,
        partition: PartitionLimits {
            max_active: config.engine.max_active,
            credits: config.engine.credits,
            max_panics: config.engine.max_panics,
        },
        admission: AdmissionLimits {
            in_flight: config.engine.in_flight,
            backlog: config.engine.backlog,
        },
        live: LiveLimits {
            max_sessions: config.live.max_sessions,
            max_sessions_per_citizen: config.live.max_sessions_per_citizen,
        },
        claims_kept: config.retention.claims,
        erasure_key: ErasureKey(secret.derive(ERASURES)),
        intensity: INTENSITY,
    }
}
