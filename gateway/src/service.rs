//! One request from its head to the head of its answer: limits, authentication, impersonation, routing, the handler, the log line.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cox_bus::trace;
use cox_kit::metrics::MEDIA_TYPE;
use cox_objects::{Status, User};
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::answer::{self, Answer};
use crate::auth::impersonate;
use crate::gateway::{Gateway, PATIENCE};
use crate::limits::{self, MAX_BODY, Room};
use crate::metrics::Label;
use crate::negotiate::{self, header};
use crate::query::Query;
use crate::request::Request;
use crate::route::{Action, Info, Route, Target, resolve};
use crate::server::Use;
use crate::{conversation, discovery, health, openid, read, version, watch, write};

/// What is known of the connection that a request came on.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The user of its client certificate, if it showed one.
    pub user: Option<Arc<User>>,
    /// What it is used for.
    pub(crate) of: Use,
}

/// Answers a request. It never fails: errors are answers.
pub async fn serve(gateway: Arc<Gateway>, peer: Arc<Peer>, incoming: http::Request<Incoming>) -> Answer {
    let began = Instant::now();
    let id = uuid::Uuid::now_v7();
    let (method, headers) = (incoming.method().clone(), incoming.headers().clone());
    let query = Query::parse(incoming.uri().query().unwrap_or_default());
    let info = Info::read(&method, incoming.uri().path(), &query);
    let theirs = Some(header(&headers, http::HeaderName::from_static("traceparent"))).filter(|text| !text.is_empty());
    let span = trace::under(span(&method, &info, id), theirs);
    let traceparent = trace::carries(&span, theirs);
    // On the machine itself bytes cost less than packing them.
    let takes_gzip = negotiate::gzip(&headers) && !peer.address.ip().is_loopback();
    let received = Received { id, method, headers, query, info, traceparent };
    let mut label = Label::of_method(&received.method);
    let mut answer = {
        let form = negotiate::of_error(&received.headers, &received.query);
        let handled = handle(&gateway, &peer, received, incoming, &mut label).instrument(span.clone()).await;
        handled.unwrap_or_else(|status| answer::error(&status, &form))
    };
    if takes_gzip {
        answer = answer::compress(answer).await;
    }
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        answer.headers_mut().insert("audit-id", id);
    }
    let code = answer.status().as_u16();
    gateway.metrics.count(label, code, began.elapsed(), answer.body().size());
    span.record("http.response.status_code", code);
    if code >= 500 {
        span.record("otel.status_code", "ERROR");
    }
    tracing::debug!(parent: &span, code, peer = %peer.address, took = ?began.elapsed(), "answered");
    answer
}

/// The span of a request, until the head of its answer is there; its fields are named as OpenTelemetry names those of HTTP servers.
fn span(method: &Method, info: &Info, id: uuid::Uuid) -> Span {
    tracing::info_span!(
        "gateway.request",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %method,
        http.response.status_code = Empty,
        url.path = info.path,
        verb = info.verb,
        id = %id,
    )
}

/// A request before it is known who sends it.
struct Received {
    id: uuid::Uuid,
    method: Method,
    headers: HeaderMap,
    query: Query,
    info: Info,
    traceparent: Option<String>,
}

async fn handle(
    gateway: &Arc<Gateway>,
    peer: &Peer,
    received: Received,
    mut incoming: http::Request<Incoming>,
    label: &mut Label,
) -> Result<Answer, Status> {
    let user = user(gateway, peer, &received).await?;
    let seat = gateway.flows.enter(&user, &received.info).await?;
    let Received { id, method, headers, query, info, traceparent } = received;
    let route = resolve(&gateway.kinds, &method, &info);
    let upgrade = hyper::upgrade::on(&mut incoming);
    // HTTP/2 has it in the URI, HTTP/1.1 in a header.
    let host = match incoming.uri().authority() {
        Some(authority) => authority.to_string(),
        None => header(&headers, HOST).to_owned(),
    };
    let (raw_path, raw_query) =
        (incoming.uri().path().to_owned(), incoming.uri().query().unwrap_or_default().to_owned());
    let mut body = Some(incoming.into_body());
    let mut request =
        Request { method, info, host, raw_path, raw_query, query, headers, body: Bytes::new(), user, id, traceparent };
    let target = match route {
        Ok(Route::Resource(target)) => target,
        other => {
            gateway.authorizer.check(&request.user, &request.info)?;
            return document(gateway, &request, other?).await;
        }
    };
    *label = gateway.metrics.label(&target);
    let mut room = None;
    if let Some(body) = body.take_if(|_| target.action.is_write()) {
        request.body = match read_body(gateway, body).await {
            Ok((body, taken)) => {
                room = taken;
                body
            }
            Err(status) => {
                gateway.authorizer.check(&request.user, &request.info)?;
                return Err(status);
            }
        };
    }
    match target.action {
        Action::Watch => peer.of.watch(),
        Action::Connect => peer.of.conversation(),
        Action::Get if target.subresource == "log" => peer.of.conversation(),
        _ => {}
    }
    let mut answer = match resource(gateway, &request, &target, upgrade, body).await {
        // Errors about a deprecated kind warn of it, too, but not those who may not ask.
        Err(status)
            if !target.kind.deprecation.is_empty()
                && gateway.authorizer.check(&request.user, &request.info).is_ok() =>
        {
            Ok(answer::error(&status, &negotiate::of_error(&request.headers, &request.query)))
        }
        other => other,
    };
    if let Ok(answer) = &mut answer {
        answer::warn_first(answer, &target.kind.deprecation);
    }
    // A watch or a conversation that has begun no longer counts as being answered.
    drop((seat, room));
    answer
}

async fn user(gateway: &Gateway, peer: &Peer, received: &Received) -> Result<Arc<User>, Status> {
    let user = gateway.authenticate(header(&received.headers, AUTHORIZATION), peer.user.as_ref()).await?;
    let Some(wanted) = impersonate::wanted(&received.headers)? else { return Ok(user) };
    gateway.authorizer.check_impersonation(&user, &wanted.rights(), &received.info)?;
    Ok(Arc::new(wanted.into_user()))
}

/// The body of a request, and the room that it takes until the request is answered.
async fn read_body(gateway: &Gateway, body: Incoming) -> Result<(Bytes, Option<Room>), Status> {
    let room = gateway.bodies.room(hyper::body::Body::size_hint(&body).upper()).await?;
    let read = tokio::time::timeout(PATIENCE, Limited::new(body, MAX_BODY).collect()).await;
    match read.map_err(|_| Status::timeout("the body did not come in time"))? {
        Ok(collected) => Ok((collected.to_bytes(), room)),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(limits::too_large()),
        Err(error) => Err(Status::bad_request(format!("the body cannot be read: {error}"))),
    }
}

async fn resource(
    gateway: &Arc<Gateway>,
    request: &Request,
    target: &Target,
    upgrade: hyper::upgrade::OnUpgrade,
    body: Option<Incoming>,
) -> Result<Answer, Status> {
    match target.action {
        Action::List => read::list::list(gateway, request, target).await,
        Action::Watch => watch::watch(gateway, request, target).await,
        Action::Get if target.subresource == "log" => conversation::logs(gateway, request, target).await,
        Action::Get => read::get(gateway, request, target).await,
        Action::Connect => conversation::connect(gateway, request, target, upgrade, body).await,
        _ => write::write(gateway, request, target).await,
    }
}

/// Paths that are no resources.
async fn document(gateway: &Gateway, request: &Request, route: Route) -> Result<Answer, Status> {
    let documents = &gateway.documents;
    let kinds = &gateway.kinds;
    let host = request.host.as_str();
    match route {
        Route::CoreVersions => documents.top(request, true, host),
        Route::Groups => documents.top(request, false, host),
        Route::Group(name) => match discovery::group(kinds, &name) {
            Some(group) => documents.plain(request, &group),
            None => Ok(answer::unknown_path()),
        },
        Route::GroupVersion(group, version) => {
            documents.plain(request, &discovery::group_version(kinds, &group, &version))
        }
        Route::Version => version::answer(request),
        Route::Health(endpoint, check) => {
            let checks = health::ask(&*gateway.readiness, endpoint).await;
            let told = |name: &str| {
                let path = format!("/{}/{name}", endpoint.as_str());
                gateway.authorizer.check(&request.user, &Info { path, ..request.info.clone() }).is_ok()
            };
            Ok(health::answer(endpoint, check.as_deref(), &request.query, checks, told))
        }
        Route::Metrics => Ok(answer::bytes(200, MEDIA_TYPE, gateway.registry.text())),
        Route::OpenApiIndex => Ok(documents.openapi_index()),
        Route::OpenApi(path) => Ok(documents.openapi(request, &path)),
        Route::OpenIdConfiguration => Ok(openid::configuration(host)),
        Route::Keys => openid::keys(gateway.tokens.jwks(), request),
        Route::Root => {
            let checks: Vec<String> = gateway.readiness.ready().await.into_iter().map(|check| check.name).collect();
            Ok(answer::value(
                200,
                &discovery::paths(kinds, &checks),
                &negotiate::of_error(&request.headers, &request.query),
            ))
        }
        Route::Resource(_) | Route::Unknown => Ok(answer::unknown_path()),
    }
}
