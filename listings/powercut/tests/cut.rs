//! Whatever a power cut leaves of the disk, what was promised is there.

#![allow(clippy::unwrap_used, clippy::panic)]

use powercut::cut::{Report, policy, run};

async fn seeds(name: &str, seeds: u64) -> Report {
    let mut report = Report::default();
    for seed in 0..seeds {
        let one = run(seed, policy(name).unwrap()).await;
        report.add(one.unwrap_or_else(|error| panic!("{seed}: {error}")));
    }
    report
}

#[tokio::test]
async fn what_is_committed_outlives_a_power_cut() {
    let report = seeds("commit", 60).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn without_a_commit_it_does_not() {
    for name in ["none", "interval"] {
        let report = seeds(name, 20).await;
        assert!(report.lost > 0, "{name}: {report}");
        assert_eq!(report.untold, 0, "{name}: {report}");
    }
}
