//! A turn for someone else before publishing goes on.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How long the other may take: then publishing goes on without it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Gives a turn to whoever takes turns, and waits until it is over; with nobody to take it there is nothing to wait for. Clones share it.
#[derive(Clone, Debug)]
pub struct Turn {
    given: watch::Sender<u64>,
    over: watch::Sender<u64>,
}

impl Default for Turn {
    fn default() -> Self {
        Turn { given: watch::Sender::new(0), over: watch::Sender::new(0) }
    }
}

/// Takes the turns of a [`Turn`]; those given while nobody took them are one.
#[derive(Debug)]
pub struct Turns {
    given: watch::Receiver<u64>,
    over: watch::Sender<u64>,
}

impl Turn {
    /// Whoever has this takes the turns from now on.
    pub fn take(&self) -> Turns {
        let mut given = self.given.subscribe();
        given.mark_changed();
        Turns { given, over: self.over.clone() }
    }

    /// Gives a turn and waits until it is over.
    pub(super) async fn give(&self) {
        if self.given.receiver_count() == 0 {
            return;
        }
        let mut number = 0;
        self.given.send_modify(|given| {
            *given += 1;
            number = *given;
        });
        let mut over = self.over.subscribe();
        if timeout(PATIENCE, over.wait_for(|over| *over >= number)).await.is_err() {
            tracing::warn!("publishing goes on although the consumers of the event stream were not seen to");
        }
    }
}

impl Turns {
    /// Waits for a turn.
    pub async fn next(&mut self) -> u64 {
        if self.given.changed().await.is_err() {
            // Nobody gives any more.
            return std::future::pending().await;
        }
        *self.given.borrow_and_update()
    }

    /// The turn of this number, and all before it, are over.
    pub fn over(&self, number: u64) {
        self.over.send_replace(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_waited_for_if_someone_takes_it() {
        let turn = Turn::default();
        turn.give().await;
        let mut turns = turn.take();
        let taken = async {
            loop {
                let number = turns.next().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                turns.over(number);
            }
        };
        let given = async {
            let begun = tokio::time::Instant::now();
            turn.give().await;
            turn.give().await;
            begun.elapsed()
        };
        let waited = tokio::select! {
            waited = given => waited,
            () = taken => unreachable!("it takes turns for ever"),
        };
        assert!(waited >= Duration::from_secs(2), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_no_turn_holds_nothing_up_for_good() {
        let turn = Turn::default();
        let turns = turn.take();
        turn.give().await;
        drop(turns);
        let begun = tokio::time::Instant::now();
        turn.give().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
