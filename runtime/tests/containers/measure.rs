//! Temporary.
use cox_runtime::*;
use std::time::*;
use crate::world::*;
#[tokio::test(flavor = "multi_thread")]
async fn measure_it() {
    let world = World::new().await;
    let mut t: [Vec<f64>; 6] = Default::default();
    for i in 0..20 {
        let s = Instant::now();
        let mut lap = s;
        let mut l = |v: &mut Vec<f64>| { v.push(lap.elapsed().as_secs_f64() * 1e3); lap = Instant::now(); };
        let sb = world.ready(&format!("m{i}")).await; l(&mut t[0]);
        let id = world.create_container(shell(&sb, "trap 'exit 0' TERM; while :; do sleep 0.01; done")).await.unwrap(); l(&mut t[1]);
        world.start_container(&id).await.unwrap(); l(&mut t[2]);
        world.exec_sync(&id, &["echo".to_owned()], DEADLINE).await.unwrap(); l(&mut t[3]);
        if i == 19 {
            for e in std::fs::read_dir("/proc").unwrap().flatten() {
                let c = std::fs::read_to_string(e.path().join("cmdline")).unwrap_or_default();
                if c.contains(crate::MONITOR) && c.contains(&id.0) {
                    println!("{}", std::fs::read_to_string(e.path().join("smaps_rollup")).unwrap());
                    println!("{}", std::fs::read_to_string(e.path().join("cgroup")).unwrap());
                    println!("{}", std::fs::read_to_string(e.path().join("oom_score_adj")).unwrap());
                }
            }
        }
        world.stop_container(&id, DEADLINE).await.unwrap(); l(&mut t[4]);
        world.remove_sandbox(&sb).await.unwrap(); l(&mut t[5]);
    }
    for (v, n) in t.iter_mut().zip(["sandbox", "create", "start", "exec", "stop", "remove sandbox"]) {
        v.sort_by(f64::total_cmp);
        println!("{n}: p50 {:.1} p90 {:.1}", v[10], v[18]);
    }
    world.end().await;
}
