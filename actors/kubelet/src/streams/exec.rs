//! Running a command in a container, and joining a container's own streams.

use bytes::Bytes;
use cox_bus::node::{AttachRequest, ExecRequest, Exit, Frame};
use cox_bus::{Offer, SinkHalf, SourceHalf, codec};
use cox_kit::Feed;
use cox_objects::Status;
use cox_runtime::{AttachOptions, ContainerError, ExecOptions, ExecOutcome, Reader, Session, TerminalSize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::running;
use crate::node::Context;

/// Bytes read from a stream at a time.
const CHUNK: usize = 32 * 1024;
/// Frames that wait for the bus; the container waits then.
const WAITING: usize = 16;

/// Serves an exec.
pub(super) async fn exec<F: Feed>(context: &Context<F>, offer: Offer) {
    let Ok(request) = codec::decode::<ExecRequest>(&offer.hello) else {
        offer.refuse(Status::bad_request("the request is not understood"));
        return;
    };
    let id = match running(context, &request.target).await {
        Ok(id) => id,
        Err(status) => return offer.refuse(status),
    };
    let options = ExecOptions {
        command: request.command,
        tty: request.streams.tty,
        stdin: request.streams.stdin,
        stdout: request.streams.stdout,
        stderr: request.streams.stderr,
        timeout: None,
        size: None,
    };
    match context.runtime.exec(&id, options).await {
        Ok(session) => talk(offer, Ok(session)).await,
        // A command that cannot be started is an answer of the conversation: clients print it and exit with its code.
        Err(ContainerError::Exec { reason, exit_code }) => talk(offer, Err((reason, exit_code))).await,
        Err(error) => offer.refuse(Status::internal(error)),
    }
}

/// Serves an attach.
pub(super) async fn attach<F: Feed>(context: &Context<F>, offer: Offer) {
    let Ok(request) = codec::decode::<AttachRequest>(&offer.hello) else {
        offer.refuse(Status::bad_request("the request is not understood"));
        return;
    };
    let id = match running(context, &request.target).await {
        Ok(id) => id,
        Err(status) => return offer.refuse(status),
    };
    let options = AttachOptions {
        stdin: request.streams.stdin,
        stdout: request.streams.stdout,
        stderr: request.streams.stderr && !request.streams.tty,
    };
    match context.runtime.attach(&id, options).await {
        Ok(Session { stdin, stdout, stderr, resize, outcome }) => {
            // Who joins a container is told that it has ended, not how: that stands in its status.
            let outcome = Box::pin(async { outcome.await.map(|_| ExecOutcome::Detached) });
            talk(offer, Ok(Session { stdin, stdout, stderr, resize, outcome })).await;
        }
        Err(error) => offer.refuse(Status::internal(error)),
    }
}

/// The conversation: frames both ways until the command has ended and its output is out.
async fn talk(offer: Offer, session: Result<Session, (String, i32)>) {
    let Ok(duplex) = offer.accept().await else { return };
    let (sink, source) = duplex.split();
    let session = match session {
        Ok(session) => session,
        Err((reason, code)) => {
            let text = Frame::Exit(Exit::Failed(format!(
                "command terminated with non-zero exit code: {reason}, exit code {code}"
            )));
            end(sink, text).await;
            return;
        }
    };
    let Session { stdin, stdout, stderr, resize, outcome } = session;
    let (frames, waiting) = mpsc::channel(WAITING);
    let outcome = async {
        let (out, err) = (frames.clone(), frames);
        // Output is read to its end first: what the command wrote last comes before its exit code.
        tokio::join!(drain(stdout, out, Frame::Stdout), drain(stderr, err, Frame::Stderr));
        outcome.await
    };
    let ended = async { tokio::join!(outcome, forward(sink, waiting)) };
    let input = async {
        // A client that is through with its input still waits for output; only one that has left altogether ends the conversation.
        if !feed(source, stdin, resize).await {
            std::future::pending::<()>().await;
        }
    };
    let (ended, sink) = tokio::select! {
        ended = ended => ended,
        () = input => return,
    };
    let exit = match ended {
        Ok(ExecOutcome::Exited(code)) => Exit::Code(code),
        Ok(ExecOutcome::TimedOut) => Exit::Failed("the command ran out of time".to_owned()),
        Ok(ExecOutcome::Detached) => Exit::Code(0),
        Err(error) => Exit::Failed(error.to_string()),
    };
    if let Some(sink) = sink {
        end(sink, Frame::Exit(exit)).await;
    }
}

async fn end(mut sink: SinkHalf, last: Frame) {
    // A client that has left does not hear the end.
    if sink.send(last.encode()).await.is_ok() {
        let _ = sink.finish().await;
    }
}

/// Sends frames until there are no more; none if the client has left.
async fn forward(mut sink: SinkHalf, mut frames: mpsc::Receiver<Frame>) -> Option<SinkHalf> {
    while let Some(frame) = frames.recv().await {
        sink.send(frame.encode()).await.ok()?;
    }
    Some(sink)
}

async fn drain(stream: Option<Reader>, frames: mpsc::Sender<Frame>, frame: fn(Bytes) -> Frame) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; CHUNK];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let data = Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default());
        if frames.send(frame(data)).await.is_err() {
            return;
        }
    }
}

/// Takes frames in until the client ends its side; true if it has left altogether.
async fn feed(
    mut source: SourceHalf,
    mut stdin: Option<cox_runtime::Writer>,
    resize: Option<mpsc::Sender<TerminalSize>>,
) -> bool {
    loop {
        let message = match source.recv().await {
            Ok(Some(message)) => message,
            Ok(None) => return false,
            Err(_) => return true,
        };
        match Frame::decode(&message) {
            Ok(Frame::Stdin(data)) => {
                let broken = match &mut stdin {
                    Some(stream) => stream.write_all(&data).await.is_err() || stream.flush().await.is_err(),
                    None => false,
                };
                if broken {
                    stdin = None;
                }
            }
            Ok(Frame::CloseStdin) => {
                if let Some(mut stream) = stdin.take() {
                    // The command may have closed it already.
                    let _ = stream.shutdown().await;
                }
            }
            Ok(Frame::Resize(size)) => {
                if let Some(resize) = &resize {
                    // A terminal that is gone has no size.
                    let _ = resize.send(TerminalSize { width: size.width, height: size.height }).await;
                }
            }
            // What only a node sends, or nobody, is passed over.
            _ => {}
        }
    }
}
