//! The book notices what is lost and what nobody asked for, and takes either outcome of a write without an answer.

use super::*;

fn found(objects: &[(&str, u64)]) -> BTreeMap<String, u64> {
    objects.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

fn book() -> Ledger {
    let mut book = Ledger::default();
    book.ask("a", State::Holds(1));
    book.acknowledge("a");
    book
}

#[test]
fn an_acknowledged_write_must_be_there() {
    assert!(book().settle(&found(&[("a", 1)])).is_ok());
    assert!(book().settle(&found(&[])).is_err());
    assert!(book().settle(&found(&[("a", 2)])).is_err());
}

#[test]
fn what_nobody_wrote_must_not_be_there() {
    assert!(book().settle(&found(&[("a", 1), ("b", 1)])).is_err());
}

#[test]
fn a_write_without_an_answer_is_done_or_not_and_then_stays_so() {
    for outcome in [1, 2] {
        let mut book = book();
        book.ask("a", State::Holds(2));
        assert!(book.settle(&found(&[("a", outcome)])).is_ok());
        assert!(book.settle(&found(&[("a", outcome)])).is_ok());
        assert!(book.settle(&found(&[("a", 3 - outcome)])).is_err());
    }
    let mut book = book();
    book.ask("a", State::Absent);
    assert!(book.settle(&found(&[])).is_ok());
    assert!(book.settle(&found(&[("a", 1)])).is_err());
}
