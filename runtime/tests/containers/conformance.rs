//! The port's promises, checked on every adapter that keeps them: the real one and the hollow one.

use std::path::Path;
use std::time::Duration;

use cox_runtime::hollow::Hollow;
use cox_runtime::{
    ContainerError, ContainerId, ContainerState, Event, ExecOutcome, ExitReason, ImageConfig, ImageError, Runtime,
    SandboxError, SandboxId, SandboxState,
};

use crate::image;
use crate::world::{DEADLINE, World, sandbox_spec, shell};

#[tokio::test(flavor = "multi_thread")]
async fn the_real_runtime_keeps_the_promises() {
    let world = World::new().await;
    promises(&*world, "real").await;
    world.end().await;
}

#[tokio::test]
async fn the_hollow_runtime_keeps_the_promises() {
    let hollow = Hollow::new();
    hollow.add_image(image::NAME, ImageConfig::default()).unwrap();
    let missing = ["/no/such".to_owned()];
    hollow.fail_start(&missing, "exec: \"/no/such\": stat /no/such: no such file or directory");
    promises(&hollow, "hollow").await;
}

async fn promises(runtime: &dyn Runtime, name: &str) {
    images(runtime).await;
    let logs = tempfile::tempdir().unwrap();
    let id = sandboxes(runtime, name, logs.path()).await;
    life(runtime, &id).await;
    ends(runtime, &id).await;
    runtime.remove_sandbox(&id).await.unwrap();
    runtime.remove_sandbox(&id).await.unwrap();
    assert_eq!(runtime.list_containers(None).await.unwrap(), []);
    assert_eq!(runtime.sandbox(&id).await.unwrap(), None);
}

async fn images(runtime: &dyn Runtime) {
    let by_name = runtime.resolve_image(image::NAME).await.unwrap().unwrap();
    assert_eq!(runtime.resolve_image(&by_name.id).await.unwrap(), Some(by_name.clone()));
    assert_eq!(runtime.list_images().await.unwrap(), [by_name]);
    assert_eq!(runtime.resolve_image("test.local/other").await.unwrap(), None);
    assert!(matches!(runtime.resolve_image("Bad:::").await, Err(ImageError::BadName { .. })));
    assert!(matches!(runtime.pull_image("Bad:::", None).await, Err(ImageError::BadName { .. })));
}

async fn sandboxes(runtime: &dyn Runtime, name: &str, logs: &Path) -> SandboxId {
    let spec = sandbox_spec(name, logs.to_owned());
    let id = spec.id.clone();
    let nobody = ContainerError::NoSandbox(id.clone()).to_string();
    assert_eq!(runtime.create_container(shell(&id, "true")).await.unwrap_err().to_string(), nobody);
    let made = runtime.create_sandbox(spec.clone()).await.unwrap();
    assert_eq!((made.state, &made.spec), (SandboxState::Ready, &spec));
    assert_eq!(made.addresses.len(), 1);
    assert_eq!(runtime.create_sandbox(spec).await.unwrap(), made, "a repeated create gives what exists");
    assert_eq!(runtime.list_sandboxes().await.unwrap(), [made]);
    id
}

/// The next event of a container.
async fn next(events: &mut tokio::sync::broadcast::Receiver<Event>) -> Event {
    tokio::time::timeout(DEADLINE, events.recv()).await.expect("an event comes").unwrap()
}

async fn life(runtime: &dyn Runtime, sandbox: &SandboxId) {
    let mut events = runtime.events();
    let spec = shell(sandbox, "trap 'exit 143' TERM; while :; do sleep 0.05; done");
    let id = runtime.create_container(spec.clone()).await.unwrap();
    assert_eq!(runtime.create_container(spec.clone()).await.unwrap(), id);
    let status = runtime.container_status(&id).await.unwrap().unwrap();
    assert_eq!((&status.info.state, &status.spec), (&ContainerState::Created, &spec));
    let not_running = |e: ContainerError| matches!(e, ContainerError::NotRunning(_));
    let command = ["sh", "-c", "true"].map(str::to_owned);
    assert!(not_running(runtime.exec_sync(&id, &command, DEADLINE).await.unwrap_err()));
    assert!(not_running(runtime.container_stats(&id).await.unwrap_err()));

    runtime.start_container(&id).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    assert_eq!(next(&mut events).await, Event::Started { sandbox: sandbox.clone(), container: id.clone() });
    let status = runtime.container_status(&id).await.unwrap().unwrap();
    assert!(
        matches!(status.info.state, ContainerState::Running { started_at, .. } if started_at >= status.info.created_at)
    );
    assert_eq!(runtime.exec_sync(&id, &command, DEADLINE).await.unwrap().outcome, ExecOutcome::Exited(0));
    assert!(runtime.container_stats(&id).await.unwrap().pids > 0);
    let used = runtime.resolve_image(image::NAME).await.unwrap().unwrap();
    assert!(matches!(runtime.remove_image(&used.id).await, Err(ImageError::InUse { .. })));

    runtime.stop_container(&id, DEADLINE).await.unwrap();
    runtime.stop_container(&id, DEADLINE).await.unwrap();
    let ended = Event::Exited { sandbox: sandbox.clone(), container: id.clone(), exit_code: 143 };
    assert_eq!(next(&mut events).await, ended);
    let status = runtime.container_status(&id).await.unwrap().unwrap();
    assert!(matches!(status.info.state, ContainerState::Exited { exit_code: 143, .. }));
    assert!(not_running(runtime.start_container(&id).await.unwrap_err()), "what has ended does not start again");
    assert_eq!(runtime.list_containers(Some(sandbox)).await.unwrap(), [status.info]);
    runtime.remove_container(&id).await.unwrap();
    runtime.remove_container(&id).await.unwrap();
    assert_eq!(runtime.container_status(&id).await.unwrap(), None);
    let gone = ContainerId("0".repeat(64));
    assert!(matches!(runtime.start_container(&gone).await, Err(ContainerError::NotFound(_))));
}

async fn ends(runtime: &dyn Runtime, sandbox: &SandboxId) {
    let bad = cox_runtime::ContainerSpec { command: vec!["/no/such".to_owned()], attempt: 1, ..shell(sandbox, "") };
    let id = runtime.create_container(bad).await.unwrap();
    let refused = runtime.start_container(&id).await.unwrap_err();
    assert!(matches!(refused, ContainerError::Start { .. }));
    let words = "exec: \"/no/such\": stat /no/such: no such file or directory";
    assert!(refused.to_string().ends_with(words), "{refused}");
    let state = runtime.container_status(&id).await.unwrap().unwrap().info.state;
    let ContainerState::Exited { exit_code: 128, reason: ExitReason::StartError, started_at: 0, message, .. } = state
    else {
        panic!("{state:?}")
    };
    assert_eq!(message, refused.to_string());

    let stubborn =
        cox_runtime::ContainerSpec { attempt: 2, ..shell(sandbox, "trap '' TERM; while :; do sleep 1; done") };
    let id = runtime.create_container(stubborn).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    runtime.stop_container(&id, Duration::ZERO).await.unwrap();
    let state = runtime.container_status(&id).await.unwrap().unwrap().info.state;
    assert!(matches!(state, ContainerState::Exited { exit_code: 137, signal: Some(9), .. }), "{state:?}");

    runtime.stop_sandbox(sandbox).await.unwrap();
    runtime.stop_sandbox(sandbox).await.unwrap();
    let stopped = runtime.sandbox(sandbox).await.unwrap().unwrap();
    assert_eq!((stopped.state, stopped.addresses.len()), (SandboxState::Stopped, 0));
    assert!(matches!(runtime.port_forward(sandbox, 80).await.err(), Some(SandboxError::NotRunning(_))));
    let late = cox_runtime::ContainerSpec { attempt: 3, ..shell(sandbox, "true") };
    assert!(matches!(runtime.create_container(late).await, Err(ContainerError::NoSandbox(_))));
}
