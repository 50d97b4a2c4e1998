//! A connection to a port of a pod.

use bytes::Bytes;
use cox_bus::node::PortForwardRequest;
use cox_bus::{Offer, codec};
use cox_kit::Feed;
use cox_objects::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{pod_of, sandbox_of};
use crate::node::Context;

/// Bytes read from the pod at a time.
const CHUNK: usize = 64 * 1024;

/// Serves a connection: bytes both ways until each side has ended.
pub(super) async fn port_forward<F: Feed>(context: &Context<F>, offer: Offer) {
    let Ok(request) = codec::decode::<PortForwardRequest>(&offer.hello) else {
        offer.refuse(Status::bad_request("the request is not understood"));
        return;
    };
    let sandbox = match pod_of(context, &request.target) {
        Ok(_) => sandbox_of(context, &request.target).await,
        Err(status) => Err(status),
    };
    let id = match sandbox {
        Ok(id) => id,
        Err(status) => return offer.refuse(status),
    };
    let stream = match context.runtime.port_forward(&id, request.port).await {
        Ok(stream) => stream,
        Err(error) => return offer.refuse(Status::new(500, "InternalError", error.to_string())),
    };
    let Ok(duplex) = offer.accept().await else { return };
    let (mut sink, mut source) = duplex.split();
    let (mut read, mut write) = tokio::io::split(stream);
    let to_client = async {
        let mut buffer = vec![0; CHUNK];
        loop {
            match read.read(&mut buffer).await {
                Ok(count @ 1..) => {
                    let data = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                    if sink.send(data).await.is_err() {
                        return;
                    }
                }
                _ => {
                    // A client that has left does not hear the end.
                    let _ = sink.close().await;
                    return;
                }
            }
        }
    };
    let to_pod = async {
        while let Ok(Some(data)) = source.recv().await {
            if write.write_all(&data).await.is_err() {
                return;
            }
        }
        // The pod may have closed its side already.
        let _ = write.shutdown().await;
    };
    tokio::join!(to_client, to_pod);
}
