//! What the gauges and counters say of alerts: while they run, and that
//! nothing is left of them afterwards.

use super::{alert_everyone, end, stage};
use crate::engine::harness::token;
use crate::engine::{MINUTE, REASON};
use araldo_actors::domain::answer::Answer;
use araldo_actors::domain::notification::Notification;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The value of a series, 0 when there is none.
fn value(handle: &PrometheusHandle, series: &str) -> f64 {
    let text = handle.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

const GAUGES: [&str; 4] = [
    "araldo_alert_walk_visited",
    "araldo_alert_walk_end",
    "araldo_alert_walk_stragglers",
    "araldo_alert_walk_in_flight",
];

#[tokio::test(start_paused = true)]
async fn gauges_show_the_walks_under_way_and_are_zero_at_rest() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let shown = recorder.handle();
    // The engine of this test lives on this thread alone.
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let (harness, _) = stage(1_000).await;
    let late = token(3);
    harness.provider.answer_with(move |_, asked| match asked {
        Notification::Push(push) if push.token == late => {
            Answer::RetryDelivery { after: Some(10 * MINUTE), reason: REASON }
        }
        _ => Answer::Accepted,
    });
    harness.relay.cut();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = alert_everyone(&harness).await;
    tokio::time::sleep(MINUTE).await;
    assert_eq!(value(&shown, "araldo_alerts{status=\"running\"}"), 1.0);
    let at = harness.running.engine.now().0 as f64 / 1_000.0;
    let oldest = value(&shown, "araldo_alerts_oldest_timestamp_seconds");
    assert!((at - 65.0..at - 55.0).contains(&oldest), "{oldest}");
    let of = |gauge: &str, walk: &str| value(&shown, &format!("{gauge}{{walk=\"{walk}\"}}"));
    for (walk, expected) in [
        ("inbox", [1_000.0, 1_000.0, 0.0, 0.0]),
        ("apple", [1_000.0, 1_000.0, 1.0, 0.0]),
        // Four partitions with a load each.
        ("relay", [0.0, 1_000.0, 0.0, 768.0]),
    ] {
        assert_eq!(GAUGES.map(|gauge| of(gauge, walk)), expected, "{walk}");
    }
    let engine = &harness.running.engine;
    engine.pause_alert(id).await.unwrap();
    assert_eq!(value(&shown, "araldo_alerts{status=\"paused\"}"), 1.0);
    engine.resume_alert(id).await.unwrap();
    // Partitions fall: what they showed goes with them, and comes again.
    harness.clock.panic_every.store(61, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(5)).await;
    harness.clock.panic_every.store(0, Ordering::Relaxed);
    harness.provider.answer_with(|_, _| Answer::Accepted);
    harness.relay.reachable.store(true, Ordering::Relaxed);
    end(&harness, id, 60 * MINUTE).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for walk in ["inbox", "apple", "relay"] {
        assert_eq!(GAUGES.map(|gauge| of(gauge, walk)), [0.0; 4], "{walk}");
        let ended = |outcome| {
            let name = "araldo_alert_deliveries_ended_total";
            value(&shown, &format!("{name}{{walk=\"{walk}\",outcome=\"{outcome}\"}}"))
        };
        assert_eq!((ended("delivered"), ended("failed")), (1_000.0, 0.0), "{walk}");
    }
    assert_eq!(value(&shown, "araldo_alerts{status=\"running\"}"), 0.0);
    assert_eq!(value(&shown, "araldo_alerts_oldest_timestamp_seconds"), 0.0);
    assert_eq!(value(&shown, "araldo_alert_deliveries_retried_total{walk=\"apple\"}"), 1.0);
    assert!(!shown.render().contains(&id.to_string()), "no label names an alert");
    harness.assert_conserved().await;
}
