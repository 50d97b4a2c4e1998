//! Logs, exec and port-forward, as kubectl speaks them.

use bytes::Bytes;
use cox_objects::Change;
use futures::{SinkExt, StreamExt};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::client::As;
use crate::cluster::Cluster;

const PODS: &str = "/api/v1/namespaces/a/pods";

async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    for (name, node, containers) in
        [("p", "n1", &["c"][..]), ("q", "", &["c"]), ("two", "n1", &["a", "b"]), ("far", "n2", &["c"])]
    {
        let containers: Vec<Value> = containers.iter().map(|name| json!({ "name": name })).collect();
        let mut pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "a", "uid": name},
            "spec": {"containers": containers}, "status": {"podIP": "10.0.0.1"}});
        if !node.is_empty() {
            pod["spec"]["nodeName"] = json!(node);
        }
        cluster.state.put(&pod, Change::Added);
    }
    cluster
}

async fn websocket(
    cluster: &Cluster,
    path: &str,
    protocol: &str,
) -> Result<WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>, Value> {
    let request = Request::get(format!("{PODS}/{path}"))
        .header("host", "h")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", protocol)
        .body(Full::default())
        .unwrap();
    let response = cluster.begin(As::Admin, request).await;
    if response.status() != 101 {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        return Err(serde_json::from_slice(&body).unwrap());
    }
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    Ok(WebSocketStream::from_raw_socket(io, Role::Client, None).await)
}

#[tokio::test]
async fn exec_over_the_fifth_channel_protocol() {
    let cluster = cluster().await;
    let path = "p/exec?command=echo&command=hi&stdin=true&stdout=true&stderr=true";
    let mut socket = websocket(&cluster, path, "v5.channel.k8s.io").await.unwrap();
    for message in [&b"\0input"[..], &[255, 0]] {
        socket.send(Message::Binary(Bytes::copy_from_slice(message))).await.unwrap();
    }
    let mut seen = Vec::new();
    while let Some(Ok(Message::Binary(message))) = socket.next().await {
        seen.push(message);
    }
    assert_eq!(seen[0], &b"\x01echo hi"[..]);
    assert_eq!(seen[1], &b"\x02input"[..]);
    let status: Value = serde_json::from_slice(&seen[2][1..]).unwrap();
    assert_eq!((seen[2][0], status["reason"].as_str()), (3, Some("NonZeroExitCode")));
    assert_eq!(status["details"]["causes"], json!([{"reason": "ExitCode", "message": "3"}]));
}

#[tokio::test]
async fn refusals_are_the_same_with_and_without_an_upgrade() {
    let cluster = cluster().await;
    for (path, code, text) in [
        ("none/exec?command=ls&stdout=1", 404, "pods \"none\" not found"),
        ("q/exec?command=ls&stdout=1", 400, "pod q does not have a host assigned"),
        ("two/exec?command=ls&stdout=1", 400, "a container name must be specified for pod two, choose one of: [a b]"),
        ("p/exec?command=ls&stdout=1&container=x", 400, "container x is not valid for pod p"),
    ] {
        let upgraded = websocket(&cluster, path, "v5.channel.k8s.io").await.unwrap_err();
        let plain = cluster.send(As::Admin, "POST", &format!("{PODS}/{path}"), &[], "").await;
        assert_eq!((upgraded["message"].as_str(), plain.code), (Some(text), code));
        assert_eq!(plain.json()["message"], text);
    }
    let plain = cluster.send(As::Admin, "POST", &format!("{PODS}/p/exec?command=ls&stdout=1"), &[], "").await;
    assert_eq!((plain.code, plain.json()["message"].as_str()), (400, Some("Upgrade request required")));
    let ports = cluster.send(As::Admin, "POST", &format!("{PODS}/p/portforward?ports=x"), &[], "").await;
    assert_eq!(ports.json()["message"], "cannot convert to []int32: strconv.ParseUint: parsing \"x\": invalid syntax");
}

#[tokio::test]
async fn what_a_node_refuses_is_told_over_the_websocket() {
    // kubectl takes a refused upgrade for a server without WebSocket, and would show the answer to its second, plain request.
    let cluster = cluster().await;
    let mut socket = websocket(&cluster, "far/exec?command=ls&stdout=1", "v5.channel.k8s.io").await.unwrap();
    let Some(Ok(Message::Binary(message))) = socket.next().await else { panic!("the conversation ended silently") };
    let status: Value = serde_json::from_slice(&message[1..]).unwrap();
    assert_eq!((message[0], &status["status"], &status["code"]), (3, &json!("Failure"), &json!(500)));
    let text = "Internal error occurred: unable to upgrade connection: the kubelet of node \"n2\" is not connected";
    assert_eq!(status["message"], text);
}

#[tokio::test]
async fn a_client_that_still_sends_hears_the_end() {
    let cluster = cluster().await;
    let mut socket =
        websocket(&cluster, "p/exec?command=ls&stdin=true&stdout=true", "v5.channel.k8s.io").await.unwrap();
    socket.send(Message::Binary(Bytes::from_static(&[255, 0]))).await.unwrap();
    // The node is through; more input than any buffer on the way holds meets nobody.
    let piece = Bytes::from(vec![0; 64 * 1024]);
    for _ in 0..256 {
        socket.send(Message::Binary(piece.clone())).await.unwrap();
    }
    let mut last = None;
    while let Some(message) = socket.next().await {
        match message.unwrap() {
            Message::Binary(message) => last = Some(message),
            Message::Close(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(last.unwrap()[0], 3);
}

#[tokio::test]
async fn logs() {
    let cluster = cluster().await;
    let answer = cluster.get(&format!("{PODS}/p/log?follow=1")).await;
    assert_eq!(
        (answer.text().as_str(), answer.headers["content-type"].to_str().unwrap()),
        ("one\ntwo\n", "text/plain")
    );
    let nothing = cluster.get(&format!("{PODS}/q/log")).await;
    assert_eq!((nothing.code, nothing.headers.get("content-type")), (204, None));
    for (query, code, text) in [
        ("tailLines=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax"),
        (
            "tailLines=-1",
            422,
            "PodLogOptions \"p\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "sinceSeconds=0",
            422,
            "PodLogOptions \"p\" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0",
        ),
        (
            "sinceSeconds=5&sinceTime=2024-01-01T00:00:00Z",
            422,
            "PodLogOptions \"p\" is invalid: []: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
    ] {
        let answer = cluster.get(&format!("{PODS}/p/log?{query}")).await;
        assert_eq!((answer.code, answer.json()["message"].as_str()), (code, Some(text)));
    }
}

#[tokio::test]
async fn http_through_the_proxy() {
    let cluster = cluster().await;
    let answer = cluster.get(&format!("{PODS}/p:8080/proxy/a?b=c")).await;
    let page = format!("<a href=\"{PODS}/p:8080/proxy/next\">GET /a?b=c HTTP/1.1</a>");
    assert_eq!((answer.code, answer.text()), (203, page));
    assert_eq!(answer.headers["x-own"], "1");
    let posted = cluster.send(As::Admin, "DELETE", &format!("{PODS}/p:8080/proxy"), &[], "").await;
    assert!(posted.text().ends_with("DELETE / HTTP/1.1</a>"), "{}", posted.text());
    let bare = cluster.get(&format!("{PODS}/p:8080/proxy")).await;
    assert_eq!((bare.code, &bare.headers["location"]), (301, &format!("{PODS}/p:8080/proxy/").parse().unwrap()));
    // A port where no HTTP is spoken, and a node that is not there.
    for name in ["p:81", "far"] {
        let lost = cluster.get(&format!("{PODS}/{name}/proxy/")).await;
        let message = lost.json()["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(lost.code, 503);
        assert!(message.starts_with("error trying to reach service: "), "{message}");
    }
}

#[tokio::test]
async fn an_error_is_in_a_form_that_the_client_takes() {
    let cluster = cluster().await;
    let answer = cluster.send(As::Admin, "GET", &format!("{PODS}/none"), &[("accept", "text/csv")], "").await;
    assert_eq!((answer.code, answer.json()["reason"].as_str()), (406, Some("NotAcceptable")));
}

#[tokio::test]
async fn ports_as_channels() {
    let cluster = cluster().await;
    let mut socket =
        websocket(&cluster, "p/portforward?ports=80&ports=513", "v5.channel.k8s.io, v4.channel.k8s.io").await.unwrap();
    socket.send(Message::Binary(Bytes::from_static(b"\x02to the second"))).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let Some(Ok(Message::Binary(message))) = socket.next().await else { panic!("{seen:?}") };
        seen.push(message);
    }
    seen.sort_unstable();
    assert_eq!(seen, [&b"\0\x50\0"[..], b"\x01\x50\0", b"\x02\x01\x02", b"\x02to the second", b"\x03\x01\x02"]);
    // A node that is not there is told of on the second channel.
    let mut lost = websocket(&cluster, "far/portforward?ports=80", "v4.channel.k8s.io").await.unwrap();
    let mut last = Bytes::new();
    while let Some(Ok(Message::Binary(message))) = lost.next().await {
        last = message;
    }
    assert_eq!(last[0], 1);
    let text = std::str::from_utf8(&last[1..]).unwrap();
    assert!(text.starts_with("error forwarding port 80 to pod far, uid far: "), "{text}");
    for (query, text) in [
        ("", "query parameter \"port\" is required"),
        ("?ports=0", "port \"0\" must be > 0"),
        ("?ports=70000", "unable to parse \"70000\" as a port"),
    ] {
        let refused = websocket(&cluster, &format!("p/portforward{query}"), "v4.channel.k8s.io").await.unwrap_err();
        assert_eq!(refused["message"], text);
    }
}
