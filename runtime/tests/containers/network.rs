//! Who reaches whom.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use cox_runtime::{ContainerId, PortMapping, Protocol, Runtime, SandboxSpec};

use crate::world::{DEADLINE, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_reach_each_other() {
    let world = World::new().await;
    let server = world.create_sandbox(world.sandbox_spec("server")).await.unwrap();
    world.run(&server.spec.id, "while :; do echo hello | nc -l -p 8080; done").await;
    let other = world.ready("client").await;
    let client = world.run(&other, "sleep 1000").await;
    says_hello(&world, &client, (server.addresses[0], 8080).into()).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_of_the_host_lead_into_a_sandbox_until_it_stops() {
    let mut world = World::new().await;
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (everywhere, narrow) = (free(), free());
    let mapping =
        |host_port, host_ip| PortMapping { host_port, container_port: 8080, protocol: Protocol::Tcp, host_ip };
    let gateway: IpAddr = world.config.network.gateway().into();
    let ports = vec![mapping(everywhere, None), mapping(narrow, Some(gateway))];
    let spec = SandboxSpec { ports, ..world.sandbox_spec("server") };
    let server = world.create_sandbox(spec).await.unwrap().spec.id;
    let script = "while :; do echo hello | nc -l -p 8080; done & exec sleep 1000";
    let itself = world.run(&server, script).await;
    let client = world.ready("client").await;
    let client = world.run(&client, "sleep 1000").await;
    let loopback = IpAddr::from([127, 0, 0, 1]);

    for address in [gateway, loopback] {
        eventually("the host's port answers the host", || ask((address, everywhere).into())).await;
    }
    for from in [&client, &itself] {
        says_hello(&world, from, (gateway, everywhere).into()).await;
    }
    eventually("the narrow port answers", || ask((gateway, narrow).into())).await;
    assert!(!ask((loopback, narrow).into()), "a port of one address answers on another");

    world.reopen().await;
    eventually("the port is found again", || ask((loopback, everywhere).into())).await;
    // Another's coming and going leaves it alone.
    let spec = SandboxSpec { ports: vec![mapping(free(), None)], ..world.sandbox_spec("passing") };
    let passing = world.create_sandbox(spec).await.unwrap().spec.id;
    world.remove_sandbox(&passing).await.unwrap();
    eventually("the port stays", || ask((loopback, everywhere).into())).await;

    world.stop_sandbox(&server).await.unwrap();
    assert!(!ask((loopback, everywhere).into()) && !ask((gateway, everywhere).into()), "a stopped sandbox answers");
    world.end().await;
}

/// Whether `hello` comes from there, asked from the host.
fn ask(to: SocketAddr) -> bool {
    let mut text = String::new();
    if let Ok(mut stream) = std::net::TcpStream::connect_timeout(&to, Duration::from_secs(2)) {
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        // An answer that is cut off is none.
        let _ = std::io::Read::read_to_string(&mut stream, &mut text);
    }
    text == "hello\n"
}

/// Waits until `hello` comes from there, asked from a container.
async fn says_hello(world: &World, from: &ContainerId, to: SocketAddr) {
    let ask = ["sh", "-c", &format!("nc -w 2 {} {} </dev/null", to.ip(), to.port())].map(str::to_owned);
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = world.exec_sync(from, &ask, DEADLINE).await.unwrap();
        if answer.output == b"hello\n" {
            return;
        }
        assert!(Instant::now() < deadline, "{to}: {answer:?}");
    }
}
