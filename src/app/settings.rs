//! From configuration to the engine's options.

use std::time::Duration;

use araldo_actors::pipeline::{EngineOptions, PartitionLimits};
use araldo_actors::policy::admission::AdmissionLimits;
use araldo_actors::policy::restart::Intensity;

use crate::config::Config;

/// Restarts taken for bad luck: a fault that comes back at once ends the
/// process within seconds.
const INTENSITY: Intensity = Intensity { restarts: 10, within: Duration::from_secs(10) };

/// The engine's options.
pub(super) fn engine(config: &Config) -> EngineOptions {
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
        claims_kept: config.retention.claims,
        intensity: INTENSITY,
    }
}
