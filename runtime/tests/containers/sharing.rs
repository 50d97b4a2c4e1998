//! What a container shares with another, and what it sees of images besides its own.

use cox_runtime::{ContainerError, ContainerSpec, ImageError, Mount, MountSource, Runtime};

use crate::world::{DEADLINE, World, shell};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_may_look_at_the_processes_of_another() {
    let world = World::new().await;
    let sandbox = world.ready("web-1").await;
    let main = world.run(&sandbox, "sleep 333 & exec sleep 444").await;
    let other =
        ContainerSpec { name: "other".into(), log_path: "other/0.log".into(), ..shell(&sandbox, "exec sleep 1") };
    let other = world.create_container(other).await.unwrap();
    let look = |target| ContainerSpec {
        target: Some(target),
        name: "look".into(),
        log_path: "look/0.log".into(),
        ..shell(&sandbox, "ps -o pid,args; sleep 777 & exit 5")
    };
    let error = world.create_container(look(other)).await.unwrap_err();
    assert!(matches!(error, ContainerError::NotRunning(_)), "{error:?}");
    let id = world.create_container(look(main.clone())).await.unwrap();
    world.start_container(&id).await.unwrap();
    world.exit(&id).await;
    let seen = world.log(&id).await;
    assert!(seen.contains("sleep 333") && seen.contains("sleep 444"), "{seen}");
    // What it left behind goes with it, and nothing else does.
    let list = ["ps", "-o", "args"].map(str::to_owned);
    let left = world.exec_sync(&main, &list, DEADLINE).await.unwrap();
    let left = String::from_utf8(left.output).unwrap();
    assert!(left.contains("sleep 333") && !left.contains("sleep 777"), "{left}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_an_image_can_be_mounted() {
    let world = World::new().await;
    let sandbox = world.ready("web-1").await;
    let image = world.list_images().await.unwrap().remove(0).id;
    let mount = |target: &str| Mount {
        target: target.into(),
        source: MountSource::Image { id: image.clone() },
        read_only: true,
    };
    let spec = ContainerSpec {
        mounts: vec![mount("/v"), mount("/w")],
        ..shell(&sandbox, "/v/bin/busybox echo found; ls /w/bin/busybox; touch /v/x || echo refused")
    };
    let id = world.create_container(spec).await.unwrap();
    world.start_container(&id).await.unwrap();
    world.exit(&id).await;
    let log = world.log(&id).await;
    for line in ["found", "/w/bin/busybox", "refused"] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    assert!(matches!(world.remove_image(&image).await, Err(ImageError::InUse { .. })));
    let unknown = Mount { source: MountSource::Image { id: "sha256:none".into() }, ..mount("/v") };
    let spec = ContainerSpec { attempt: 1, mounts: vec![unknown], ..shell(&sandbox, "true") };
    assert!(matches!(world.create_container(spec).await, Err(ContainerError::NoImage(_))));
    world.end().await;
}
