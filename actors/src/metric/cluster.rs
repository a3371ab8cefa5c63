//! Metrics of a node among others.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use std::time::Duration;

use super::{
    CLUSTER_BEATS_MISSED, CLUSTER_ECHO, CLUSTER_FENCED, CLUSTER_GAPS, CLUSTER_LEASES_LOST,
    CLUSTER_NODES, CLUSTER_PARTITIONS,
};

pub(super) fn describe() {
    describe_gauge!(CLUSTER_NODES, "Nodes that this one knows to live");
    describe_gauge!(CLUSTER_PARTITIONS, "Partitions that this node has");
    describe_gauge!(
        CLUSTER_ECHO,
        metrics::Unit::Seconds,
        "How long this node's own voice took to come back, the last time it did"
    );
    describe_counter!(CLUSTER_GAPS, "Times that notices of other nodes may have been missed");
    describe_counter!(CLUSTER_LEASES_LOST, "Leases that lapsed or were taken by another node");
    describe_counter!(CLUSTER_FENCED, "Writes refused because the partition had a newer owner");
    describe_counter!(CLUSTER_BEATS_MISSED, "Signs of life that could not be given");
}

/// See the module's text.
#[derive(Clone)]
pub(crate) struct ClusterMetrics {
    nodes: Gauge,
    partitions: Gauge,
    echo: Gauge,
    gaps: Counter,
    leases_lost: Counter,
    fenced: Counter,
    beats_missed: Counter,
}

impl ClusterMetrics {
    pub(crate) fn new() -> Self {
        Self {
            nodes: gauge!(CLUSTER_NODES),
            partitions: gauge!(CLUSTER_PARTITIONS),
            echo: gauge!(CLUSTER_ECHO),
            gaps: counter!(CLUSTER_GAPS),
            leases_lost: counter!(CLUSTER_LEASES_LOST),
            fenced: counter!(CLUSTER_FENCED),
            beats_missed: counter!(CLUSTER_BEATS_MISSED),
        }
    }

    pub(crate) fn nodes(&self, count: usize) {
        self.nodes.set(count as f64);
    }

    pub(crate) fn held(&self, count: usize) {
        self.partitions.set(count as f64);
    }

    pub(crate) fn echo(&self, took: Duration) {
        self.echo.set(took.as_secs_f64());
    }

    pub(crate) fn gap(&self) {
        self.gaps.increment(1);
    }

    pub(crate) fn lost_lease(&self) {
        self.leases_lost.increment(1);
    }

    pub(crate) fn fenced(&self) {
        self.fenced.increment(1);
    }

    pub(crate) fn missed_beat(&self) {
        self.beats_missed.increment(1);
    }
}
