//! One end of a stream as a state machine: frames and times in, what to do out. No IO.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::StreamError;
use super::frame::Frame;

/// What a frame costs beside its bytes, so that many small ones are bounded too.
const FRAME_COST: u64 = 64;
/// How long a side is silent at most.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// How long a side waits for a word of the other.
const SILENCE: Duration = Duration::from_secs(12);

/// What a tick asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tick {
    Nothing,
    /// Send the state.
    State,
    /// The stream has just broken.
    Broken,
}

/// One direction's end.
#[derive(Debug, PartialEq)]
enum Ending {
    Open,
    Ended,
    Broken(StreamError),
}

/// The state of one end.
#[derive(Debug)]
pub(super) struct Core {
    // What this side sends.
    next: u64,
    sent: u64,
    confirmed: u64,
    peer_window: Option<u64>,
    sending: Ending,
    // What it receives.
    expected: u64,
    received: u64,
    consumed: u64,
    announced: u64,
    window: u64,
    buffer: VecDeque<Bytes>,
    receiving: Ending,
    // Keeping it alive.
    heard: Instant,
    spoke: Instant,
    generation: u64,
    bounces: u32,
}

fn cost(message: usize) -> u64 {
    message as u64 + FRAME_COST
}

impl Core {
    /// A stream that is being opened and lets its peer send `window` bytes ahead.
    pub(super) fn new(window: u64, generation: u64, now: Instant) -> Self {
        Core {
            next: 0,
            sent: 0,
            confirmed: 0,
            peer_window: None,
            sending: Ending::Open,
            expected: 0,
            received: 0,
            consumed: 0,
            announced: 0,
            window,
            buffer: VecDeque::new(),
            receiving: Ending::Open,
            heard: now,
            spoke: now,
            generation,
            bounces: 0,
        }
    }

    /// The peer is known, and lets this side send so far ahead.
    pub(super) fn opened(&mut self, window: u64) {
        self.peer_window = Some(window);
    }

    pub(super) fn is_open(&self) -> bool {
        self.peer_window.is_some()
    }

    /// The number of the next frame if a message of this length may be sent now; none if the window is full. A message
    /// larger than the window goes when nothing else is under way.
    pub(super) fn may_send(&self, length: usize) -> Result<Option<u64>, StreamError> {
        self.sendable()?;
        let under_way = self.sent.saturating_sub(self.confirmed);
        let fits = under_way == 0 || under_way + cost(length) <= self.peer_window.unwrap_or(0);
        Ok((fits && self.is_open()).then_some(self.next))
    }

    /// The number of the next frame, whatever the window: an end needs no room.
    pub(super) fn sendable(&self) -> Result<u64, StreamError> {
        match &self.sending {
            Ending::Open => Ok(self.next),
            Ending::Ended => Err(StreamError::Ended),
            Ending::Broken(error) => Err(error.clone()),
        }
    }

    /// A message of this length went out under that number.
    pub(super) fn sent(&mut self, length: usize) {
        self.next += 1;
        self.sent += cost(length);
    }

    /// This side's end or failure went out.
    pub(super) fn ended(&mut self) {
        self.next += 1;
        self.sending = Ending::Ended;
    }

    /// Whether this side has ended, or can no longer send.
    pub(super) fn is_sending(&self) -> bool {
        self.sending == Ending::Open
    }

    /// Whether more may come.
    pub(super) fn is_receiving(&self) -> bool {
        self.receiving == Ending::Open
    }

    /// Breaks both directions that are still open; what has arrived before is still read.
    pub(super) fn break_off(&mut self, error: StreamError) {
        if self.is_sending() {
            self.sending = Ending::Broken(error.clone());
        }
        if self.is_receiving() {
            self.receiving = Ending::Broken(error);
        }
    }

    /// A frame arrived.
    pub(super) fn receive(&mut self, frame: Frame, now: Instant) {
        if frame == Frame::Nobody {
            return self.bounced();
        }
        self.heard = now;
        self.bounces = 0;
        match frame {
            Frame::Data(number, message) => {
                if self.in_order(number) {
                    self.take_in(message);
                }
            }
            Frame::End(number) => {
                if self.in_order(number) {
                    self.receiving = Ending::Ended;
                }
            }
            Frame::Fail(number, status) => {
                if self.in_order(number) {
                    self.receiving = Ending::Broken(StreamError::Failed(status));
                }
            }
            Frame::State { sent, consumed } => {
                self.confirmed = self.confirmed.max(consumed.min(self.sent));
                if sent > self.expected {
                    self.break_off(StreamError::Lost);
                }
            }
            Frame::Refuse(status) => self.break_off(StreamError::Refused(status)),
            Frame::Stop => {
                if self.is_sending() {
                    self.sending = Ending::Broken(StreamError::Stopped);
                }
            }
            Frame::Gone => self.break_off(StreamError::Lost),
            // Taken above, and by the shell, which knows addresses.
            Frame::Nobody | Frame::Accept { .. } => {}
        }
    }

    /// Nobody was there to take what this side said. A peer that is only reconnecting is back before the next heartbeat.
    fn bounced(&mut self) {
        self.bounces += 1;
        if !self.is_open() {
            self.break_off(StreamError::NobodyServes(String::new()));
        } else if self.bounces > 1 {
            self.break_off(StreamError::Lost);
        }
    }

    fn in_order(&mut self, number: u64) -> bool {
        if number < self.expected || !self.is_receiving() {
            // Said again, or after the end: nothing new.
            return false;
        }
        if number > self.expected {
            self.break_off(StreamError::Lost);
            return false;
        }
        self.expected += 1;
        true
    }

    fn take_in(&mut self, message: Bytes) {
        let under_way = self.received - self.announced;
        if under_way > 0 && under_way + cost(message.len()) > self.window {
            self.break_off(StreamError::Protocol("more than its credit"));
            return;
        }
        self.received += cost(message.len());
        self.buffer.push_back(message);
    }

    /// The next message; `Ok(None)` at the end. `None` if there is nothing yet.
    pub(super) fn take(&mut self) -> Option<Result<Option<Bytes>, StreamError>> {
        if let Some(message) = self.buffer.pop_front() {
            self.consumed += cost(message.len());
            return Some(Ok(Some(message)));
        }
        match &self.receiving {
            Ending::Open => None,
            Ending::Ended => Some(Ok(None)),
            Ending::Broken(error) => Some(Err(error.clone())),
        }
    }

    /// This side reads no more: what comes is dropped.
    pub(super) fn stop(&mut self) {
        self.buffer.clear();
        self.receiving = Ending::Ended;
    }

    /// Whether so much was consumed that the peer should know.
    pub(super) fn owes_credit(&self) -> bool {
        self.is_receiving() && (self.consumed - self.announced) * 2 >= self.window
    }

    /// The state to send now.
    pub(super) fn state(&mut self, now: Instant) -> Frame {
        self.spoke = now;
        self.announced = self.consumed;
        Frame::State { sent: self.next, consumed: self.consumed }
    }

    /// Time passed, and the connection is in this generation.
    pub(super) fn tick(&mut self, now: Instant, generation: u64) -> Tick {
        if !self.is_open() || !(self.is_sending() || self.is_receiving()) {
            return Tick::Nothing;
        }
        if now.saturating_duration_since(self.heard) >= SILENCE {
            self.break_off(StreamError::Silent);
            return Tick::Broken;
        }
        let again = std::mem::replace(&mut self.generation, generation) != generation;
        match again || now.saturating_duration_since(self.spoke) >= HEARTBEAT {
            true => Tick::State,
            false => Tick::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;
